"""The plain PyTorch step that training is compared with: ResNet-20 as in cifar10-resnet20-bn.onnx, eager mode, on labels.

python csam/benches/eager.py [threads [steps [channels_last]]]
"""

import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, read, written, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(read, written, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(written)
        self.conv2 = nn.Conv2d(written, written, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(written)
        self.side = nn.Identity()
        if stride != 1:
            self.side = nn.Sequential(nn.Conv2d(read, written, 1, stride, bias=False), nn.BatchNorm2d(written))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.side(x))


def resnet20():
    widths = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*stem, *[Block(*width) for width in widths], *head)


def main(threads=2, steps=30, layout=""):
    torch.manual_seed(0)
    torch.set_num_threads(int(threads))
    network = resnet20().train()
    images, labels = torch.randn(128, 3, 32, 32), torch.randint(0, 10, (128,))
    if layout:
        network, images = network.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(network.parameters(), lr=1e-9, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def step():
        begun = time.perf_counter()
        sgd.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        sgd.step()
        return time.perf_counter() - begun

    took = statistics.median([step() for _ in range(5 + int(steps))][5:])
    print(f"{1e3 * took:.1f} ms a step, {128 / took:.1f} images a second (median of {steps} steps)")


main(*sys.argv[1:])
