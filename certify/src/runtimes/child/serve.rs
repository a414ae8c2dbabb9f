//! The runtime process's side: read the inputs, run them, write the outputs.

use super::super::load;
use super::exchange::{read_inputs, write_outputs};
use super::request::Request;
use crate::error::CertifyError;

/// Does what the request asks. The caller prints an error as one line and exits with a status other than 0.
///
/// # Errors
/// When the inputs cannot be read, the runtime fails, or the outputs cannot be written.
pub fn serve(request: &Request) -> Result<(), CertifyError> {
    let runs = read_inputs(&request.inputs)?;
    let mut session = load(request.kind, &request.model, request.options)?;
    let outputs = runs.iter().map(|inputs| session.feed(inputs)).collect::<Result<Vec<_>, _>>()?;
    write_outputs(&request.outputs, &outputs, &session.identity())
}
