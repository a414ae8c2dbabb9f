//! What each reason means for which something is not cut, or not followed: a page for people.

use crate::graph::Code;
use crate::labels::PinCode;

/// What people should know of a reason.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The stable text form.
    pub code: &'static str,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
    /// The smallest network that has it.
    pub example: &'static str,
    /// What can be done.
    pub remedy: &'static str,
}

/// All pages: reasons for which lanes are pinned, then those for which nodes are not followed.
pub fn pages() -> impl Iterator<Item = Page> {
    let pins = PinCode::ALL.iter().map(|&code| page(code.as_str(), of_pin(code)));
    pins.chain(Code::ALL.iter().map(|&code| page(code.as_str(), of_refusal(code))))
}

/// Meaning, example and remedy.
type Said = [&'static str; 3];

fn page(code: &'static str, [meaning, example, remedy]: Said) -> Page {
    Page { code, meaning, example, remedy }
}

fn of_pin(code: PinCode) -> Said {
    match code {
        PinCode::GraphInput => [
            "These indices are channels of an input. Whoever feeds the network feeds all of them.",
            "The three colours that the first convolution reads: x [1, 3, 32, 32] -> Conv.",
            "Nothing is lost by it: a first layer has few input channels.",
        ],
        PinCode::GraphOutput => [
            "These indices are part of what the network gives, such as its classes. Whoever reads them reads all of them.",
            "The ten rows of the last layer: Gemm -> scores [1, 10].",
            "If an output in the middle of the network holds them (a feature that is shown), export the model without it.",
        ],
        PinCode::Opaque => [
            "The lanes reach an operator that Espalier does not follow, so that it cannot say what a cut would do there. \
             All that the operator touches stays.",
            "Conv -> com.vendor::Gate -> Conv: the first one's channels are pinned.",
            "See the `opaque` lines of `espalier inspect` for the reason at the node; export it as standard operators, or \
             convert the model to a covered operator set.",
        ],
        PinCode::NoExactForm => [
            "The operator works on the lanes in a way that no smaller network computes: it looks at neighbours, or says \
             which lane is the largest.",
            "Conv -> LRN -> Conv: a channel is divided by the size of its neighbours.",
            "Export the model without the operator if training does not need it; the lanes of other layers are cut \
             whatever this one does.",
        ],
        PinCode::LayoutTooMixed => [
            "A reshape splits or joins the axis in a way that is not whole channels, or the axis is too long to be \
             followed index by index.",
            "Conv with 6 channels -> Reshape to [1, 4, ...]: no fourth of six channels is whole.",
            "Choose numbers of channels that the reshape divides, or export the model without it.",
        ],
        PinCode::UncutPartner => [
            "The lanes go together, index by index, with something that is not cut: another operand, a list of one number \
             per channel that is computed, an axis that is more than one axis of channels.",
            "Add of a convolution's channels and an input of the network of as many channels.",
            "Look for the partner's own reason in `espalier inspect`: what pins it pins these.",
        ],
        PinCode::Counted => [
            "How many lanes there are is read off (`Shape`) and used as a number that the cut would change: as an output, \
             or as a size that cannot be stated anew.",
            "Conv -> Shape -> an output of the network.",
            "Export the model with fixed sizes, so that the exporter writes the number instead of `Shape`; or without the \
             output.",
        ],
        PinCode::ActivationProduct => [
            "Two values that are both computed from the input are multiplied and summed over the lanes, in whole numbers.",
            "MatMulInteger of two activations, as in the attention of a quantised network.",
            "Cut the network before it is quantised; in floats such products are cut.",
        ],
        PinCode::Keep => [
            "You asked to keep it: the tensor's name contains a text given with --keep or in the settings' `keep`.",
            "espalier slim model.onnx --keep fc ...",
            "Leave that text out.",
        ],
        PinCode::GateRefused => [
            "Every cut is checked: the slim network against the original with the removed lanes masked. With these lanes \
             they did not agree, so the lanes stay, and the rest is cut.",
            "A network whose numbers are too large for single precision, so that rounding decides what it gives.",
            "Give pictures that the network was made for with --data, since probes may drive it where nothing is exact. \
             If that does not help, please report it with the model: it may be a fault of this program.",
        ],
        PinCode::WholeAxis => [
            "The lanes fill an axis alone, or all of them go together: to cut them would leave nothing.",
            "A slice of a single channel that goes on by itself.",
            "Nothing; an axis has to keep an index.",
        ],
        PinCode::Unread => [
            "No weight reads these indices, so that to remove them would save nothing worth while.",
            "A stored table that is only added to something.",
            "Nothing.",
        ],
        PinCode::TooLarge => [
            "The whole graph has more indices than Espalier follows (eight million labelled ones, counted at each node).",
            "A file that declares a thousand tensors with a million channels each.",
            "Split the model, or report it if it is a network that people use.",
        ],
        PinCode::Structure => [
            "The axis is no axis of channels: a kernel's height and width, the channels inside one group.",
            "The last two axes of a convolution's weight [8, 3, 3, 3].",
            "Nothing; `espalier inspect` does not list these.",
        ],
    }
}

fn of_refusal(code: Code) -> Said {
    match code {
        Code::UnknownOperator => [
            "The operator is not one that Espalier knows: it is from a vendor's domain, or a function of the model's own.",
            "Conv -> com.vendor::Gate -> Conv.",
            "The rest of the network is cut around it. Export it as standard operators to have it cut and trained too; \
             docs/operators.md lists those there are.",
        ],
        Code::UnknownRevision => [
            "The operator is known, but not as the model's operator set defines it.",
            "A model of an operator set that is newer than this program.",
            "Convert the model to a covered operator set (`onnx.version_converter`), or export it again for one.",
        ],
        Code::Contradiction => [
            "Attributes, weights and sizes of a node do not fit each other, so that no runtime could run it.",
            "A convolution of 3 channels whose weight reads 4.",
            "Export the model again; if a runtime runs it nevertheless, please report it.",
        ],
        Code::UnsupportedForm => [
            "The operator is known, but not in this form.",
            "A batch normalisation that was exported in training mode.",
            "Export the model in inference mode (`model.eval()`); what the sentence names says more.",
        ],
        Code::ControlFlow => [
            "The node holds graphs of its own (If, Loop, Scan), which are not followed.",
            "If(condition) with a branch for each answer.",
            "What it reads and gives stays as it is. A condition that is always the same can be exported away \
             (`onnxsim`, or tracing instead of scripting).",
        ],
        Code::UndefinedInput => [
            "The node reads a value that the file neither stores nor makes, and that nobody feeds.",
            "A weight that was left out when the file was saved.",
            "Export the model again, with all of its weights.",
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_page_of_its_own() {
        let codes: Vec<&str> = pages().map(|page| page.code).collect();
        assert_eq!(codes.len(), PinCode::ALL.len() + Code::ALL.len());
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
        for page in pages() {
            for text in [page.meaning, page.example, page.remedy] {
                assert!(text.ends_with(['.', ')']) || text.ends_with("..."), "{}: {text}", page.code);
            }
        }
    }
}
