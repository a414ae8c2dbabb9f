//! The arguments of a runtime process, written and read in one place.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::super::{Kind, Options};
use crate::error::CertifyError;

/// What a runtime process is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The runtime.
    pub kind: Kind,
    /// The model file.
    pub model: PathBuf,
    /// The tensor file to read.
    pub inputs: PathBuf,
    /// The tensor file to write.
    pub outputs: PathBuf,
    /// Threads and optimisation.
    pub options: Options,
}

impl Request {
    /// The arguments that say this. `espalier-torch run` is torch already and has no optimiser to turn off, so it
    /// gets neither `--kind` nor `--plain`.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments = vec![
            "--model".into(),
            self.model.clone().into_os_string(),
            "--inputs".into(),
            self.inputs.clone().into_os_string(),
            "--outputs".into(),
            self.outputs.clone().into_os_string(),
            "--threads".into(),
            self.options.threads.to_string().into(),
        ];
        if self.kind.is_here() {
            arguments.extend(["--kind".into(), self.kind.name().into()]);
            arguments.extend((!self.options.optimise).then(|| "--plain".into()));
        }
        arguments
    }

    /// Reads the arguments after the subcommand's name.
    ///
    /// # Errors
    /// When an argument is unknown, has no value, or is missing.
    pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, CertifyError> {
        let mut arguments = arguments.into_iter();
        let (mut kind, mut model, mut inputs, mut outputs) = (None, None, None, None);
        let mut options = Options::default();
        while let Some(name) = arguments.next() {
            if name == OsStr::new("--plain") {
                options.optimise = false;
                continue;
            }
            let value = arguments.next().ok_or_else(|| refused(&name))?;
            match name.to_str() {
                Some("--kind") => kind = Some(value.to_str().and_then(Kind::of_name).ok_or_else(|| refused(&value))?),
                Some("--model") => model = Some(PathBuf::from(value)),
                Some("--inputs") => inputs = Some(PathBuf::from(value)),
                Some("--outputs") => outputs = Some(PathBuf::from(value)),
                Some("--threads") => {
                    options.threads = value.to_str().and_then(|n| n.parse().ok()).ok_or_else(|| refused(&value))?;
                }
                _ => return Err(refused(&name)),
            }
        }
        Ok(Self {
            kind: kind.ok_or_else(|| refused(OsStr::new("--kind")))?,
            model: model.ok_or_else(|| refused(OsStr::new("--model")))?,
            inputs: inputs.ok_or_else(|| refused(OsStr::new("--inputs")))?,
            outputs: outputs.ok_or_else(|| refused(OsStr::new("--outputs")))?,
            options,
        })
    }
}

fn refused(argument: &OsStr) -> CertifyError {
    CertifyError::Argument { argument: argument.to_string_lossy().into_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request(kind: Kind, optimise: bool) -> Request {
        Request {
            kind,
            model: "a model.onnx".into(),
            inputs: "in.safetensors".into(),
            outputs: "out.safetensors".into(),
            options: Options { threads: 3, optimise },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for request in [request(Kind::ORT, true), request(Kind::TRACT, false)] {
            assert_eq!(Request::from_arguments(request.to_arguments()).unwrap(), request);
        }
    }

    #[test]
    fn torch_gets_only_what_its_program_knows() {
        let arguments = request(Kind::TORCH, false).to_arguments();
        assert!(!arguments.iter().any(|a| a == "--kind" || a == "--plain"));
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [vec!["--speed", "9"], vec!["--kind"], vec!["--kind", "cuda"], vec!["--threads", "many"], vec![]] {
            let arguments = wrong.iter().map(OsString::from);
            assert!(matches!(Request::from_arguments(arguments), Err(CertifyError::Argument { .. })), "{wrong:?}");
        }
    }
}
