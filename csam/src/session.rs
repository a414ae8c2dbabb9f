//! What holds for the whole process: threads, device, the wish to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tch::{Cuda, Device};

use crate::CsamError;

/// Sets libtorch's threads. The results on a CPU depend on their number, so it is never left to the machine.
pub fn set_threads(threads: usize) {
    set_operator_threads(threads);
    // Refused by libtorch once parallel work has started; our graphs run one operator at a time anyway.
    if tch::get_num_interop_threads() != 1 {
        tch::set_num_interop_threads(1);
    }
}

/// Sets the threads inside one operator, for operators that the calling thread runs.
pub fn set_operator_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
}

/// libtorch's device of this name.
///
/// # Errors
/// There is no such device.
pub fn device(name: job::Device) -> Result<Device, CsamError> {
    match name {
        job::Device::Cpu => Ok(Device::Cpu),
        job::Device::Cuda(index) if Cuda::is_available() && (index as i64) < Cuda::device_count() => {
            Ok(Device::Cuda(index))
        }
        job::Device::Cuda(_) => Err(CsamError::Device(name)),
    }
}

/// A flag that the user's interrupt raises; a step that has begun is finished.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Raised by SIGINT, SIGTERM or SIGHUP from now on.
    ///
    /// # Errors
    /// The process has a handler already.
    pub fn on_signal() -> Result<Self, ctrlc::Error> {
        let stop = Self::default();
        let raised = stop.clone();
        ctrlc::set_handler(move || raised.raise())?;
        Ok(stop)
    }

    /// Asks the running phase to stop after its step.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
