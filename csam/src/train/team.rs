//! Several threads at one step, each with a part of the batch.
//!
//! Small convolutions gain little from threads inside one operator. So the parts of a batch are computed side by side,
//! each from its beginning to its gradients by one thread, on a replica of the network that shares its weights, and the
//! gradients are averaged in the order of the parts. Normalisations see the statistics of their own part, as in training on several devices; the
//! running statistics are averaged.

use std::{
    panic::resume_unwind,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use tch::{Device, Tensor, no_grad};

use super::{
    feed::Batch,
    teacher::{SoftTargets, Teacher},
};
use crate::{CsamError, events::Figures, network::Network, session::set_operator_threads};

/// Images that a part holds at least, since normalisations measure on it.
const LEAST: usize = 32;

/// How the threads of a machine share a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parallelism {
    /// Parts of a batch, computed side by side.
    pub parts: usize,
    /// Threads inside one operator.
    pub threads: usize,
}

impl Parallelism {
    /// As many parts as there are threads, where the images can be dealt out evenly and not too thinly. An accelerator
    /// takes the batch whole.
    pub fn of(threads: usize, images: usize, device: Device) -> Self {
        let even = |parts: &usize| threads.is_multiple_of(*parts) && images.is_multiple_of(*parts);
        let most = if device == Device::Cpu { threads.min(images / LEAST) } else { 1 };
        let parts = (1..=most).rev().find(even).unwrap_or(1);
        Self { parts, threads: threads / parts }
    }
}

/// A part of a step's images.
#[derive(Debug)]
pub struct Part {
    /// The images.
    pub batch: Batch,
    /// What the teacher says about them, once it was asked.
    pub soft_targets: Option<SoftTargets>,
}

impl Part {
    /// Images about which the teacher was not asked yet.
    pub fn of(batch: Batch) -> Self {
        Self { batch, soft_targets: None }
    }

    /// Asks a teacher, once.
    ///
    /// # Errors
    /// The teacher cannot be run.
    pub fn ask(&mut self, teacher: Option<&Teacher>) -> Result<(), CsamError> {
        if let (None, Some(teacher)) = (&self.soft_targets, teacher) {
            self.soft_targets = Some(teacher.teach(&self.batch)?);
        }
        Ok(())
    }
}

/// The networks for one further thread.
pub struct Replica {
    /// The network that is trained.
    pub network: Network,
    /// The network it learns from.
    pub teacher: Option<Teacher>,
}

impl Replica {
    /// Reads the weights where the team's networks keep them.
    fn sharing(mut self, network: &Network, teacher: Option<&Teacher>) -> Result<Self, CsamError> {
        self.network.share(network)?;
        if let (Some(mine), Some(teacher)) = (&mut self.teacher, teacher) {
            mine.share(teacher)?;
        }
        Ok(self)
    }
}

/// The network that is trained, and its replicas.
pub struct Team<'a> {
    network: &'a Network,
    teacher: Option<&'a Teacher>,
    /// Tensors may move between threads, but not be shared: each replica, whose tensors are its own although their memory
    /// is not, is locked by the thread that uses it. No thread writes to what is shared.
    others: Vec<Mutex<Replica>>,
    threads: usize,
}

/// What a thread does with its part: it is given the network, the teacher and the part.
pub type Work<'a, T> = dyn Fn(&Network, Option<&Teacher>, &mut Part) -> Result<T, CsamError> + Sync + 'a;

impl<'a> Team<'a> {
    /// A team for the given parallelism; `replica` lowers the networks again for each further thread.
    ///
    /// # Errors
    /// They cannot be lowered.
    pub fn of(
        network: &'a Network,
        teacher: Option<&'a Teacher>,
        parallelism: Parallelism,
        replica: &dyn Fn() -> Result<Replica, CsamError>,
    ) -> Result<Self, CsamError> {
        let shared = |_| Ok(Mutex::new(replica()?.sharing(network, teacher)?));
        let others = (1..parallelism.parts).map(shared).collect::<Result<_, CsamError>>()?;
        Ok(Self { network, teacher, others, threads: parallelism.threads })
    }

    /// Parts of a step's images, one for each thread of the team.
    pub fn parts(&self) -> usize {
        self.others.len() + 1
    }

    /// The network that is trained.
    pub fn network(&self) -> &'a Network {
        self.network
    }

    /// The network it learns from.
    pub fn teacher(&self) -> Option<&'a Teacher> {
        self.teacher
    }

    /// Does some work for every part, all at the same time. The outcomes come in the order of the parts.
    ///
    /// # Errors
    /// The work failed for one.
    pub fn run<T: Send>(&self, parts: &mut [Part], work: &Work<'_, T>) -> Result<Vec<T>, CsamError> {
        let (each, all) = (self.threads, self.threads * self.parts());
        let [first, rest @ ..] = parts else { return Ok(Vec::new()) };
        if self.others.is_empty() {
            return Ok(vec![work(self.network, self.teacher, first)?]);
        }
        self.others.iter().try_for_each(|other| lock(other).network.follow_statistics(self.network))?;
        set_operator_threads(each);
        let outcomes = thread::scope(|scope| {
            let pairs = self.others.iter().zip(rest);
            let running: Vec<_> =
                pairs.map(|(other, part)| scope.spawn(move || beside(other, part, work, each))).collect();
            let own = work(self.network, self.teacher, first);
            let others = running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            std::iter::once(own).chain(others).collect::<Result<Vec<_>, _>>()
        });
        set_operator_threads(all);
        self.average_statistics()?;
        outcomes
    }

    /// Each replica has moved its statistics by its own part. Equal ones stay what they are to the bit.
    fn average_statistics(&self) -> Result<(), CsamError> {
        let lead = self.network.statistics();
        for (position, other) in self.others.iter().enumerate() {
            let share = 1.0 / (position + 2) as f64;
            for ((_, mean), (_, own)) in lead.iter().zip(lock(other).network.statistics()) {
                no_grad(|| mean.shallow_clone().f_lerp_(&own, share).map(drop))?;
            }
        }
        Ok(())
    }
}

/// The work of one further thread.
fn beside<T>(other: &Mutex<Replica>, part: &mut Part, work: &Work<'_, T>, threads: usize) -> Result<T, CsamError> {
    set_operator_threads(threads);
    let replica = lock(other);
    work(&replica.network, replica.teacher.as_ref(), part)
}

/// A replica whose thread panicked is never used again: the panic goes on in the thread that started it.
fn lock(replica: &Mutex<Replica>) -> MutexGuard<'_, Replica> {
    replica.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one part came to.
#[derive(Debug)]
pub struct LossGradients {
    /// The loss.
    pub loss: f64,
    /// Further numbers for the log.
    pub figures: Figures,
    /// Gradients of the loss, each in memory of its own (see [`backward`](super::weights::backward)), in an order that is
    /// the same for all parts; undefined for what took no part.
    pub gradients: Vec<Tensor>,
}

impl LossGradients {
    /// The mean over parts of equal size, summed in their order.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn mean(parts: Vec<Self>) -> Result<Self, CsamError> {
        let share = 1.0 / parts.len() as f64;
        let mut parts = parts.into_iter();
        let mut sum = parts.next().ok_or(CsamError::FeedEnded)?;
        for part in parts {
            sum.loss += part.loss;
            sum.figures.iter_mut().zip(part.figures).for_each(|((_, sum), (_, value))| *sum += value);
            for (sum, gradient) in sum.gradients.iter_mut().zip(part.gradients).filter(|(sum, _)| sum.defined()) {
                let _ = sum.f_add_(&gradient)?;
            }
        }
        if share < 1.0 {
            sum.loss *= share;
            sum.figures.iter_mut().for_each(|(_, value)| *value *= share);
            for gradient in sum.gradients.iter_mut().filter(|gradient| gradient.defined()) {
                let _ = gradient.f_mul_scalar_(share)?;
            }
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_count_the_same() {
        let slope = |loss, gradient: f64| LossGradients {
            loss,
            figures: vec![("task", 2.0 * loss)],
            gradients: vec![Tensor::from_slice(&[gradient]), Tensor::new()],
        };
        let mean = LossGradients::mean(vec![slope(1.0, 0.5), slope(4.0, 2.5)]).unwrap();
        assert_eq!((mean.loss, mean.figures[0].1, mean.gradients[0].double_value(&[0])), (2.5, 5.0, 1.5));
        assert!(!mean.gradients[1].defined());
    }

    #[test]
    fn images_are_dealt_out_evenly_and_not_thinly() {
        let parallelism = |threads, images| {
            let Parallelism { parts, threads } = Parallelism::of(threads, images, Device::Cpu);
            (parts, threads)
        };
        assert_eq!(parallelism(2, 128), (2, 1));
        assert_eq!(parallelism(16, 128), (4, 4));
        assert_eq!(parallelism(3, 128), (1, 3));
        assert_eq!(parallelism(2, 63), (1, 2));
        assert_eq!(parallelism(2, 20), (1, 2));
        assert_eq!(parallelism(1, 1024), (1, 1));
        assert_eq!(Parallelism::of(8, 128, Device::Cuda(0)), Parallelism { parts: 1, threads: 8 });
    }
}
