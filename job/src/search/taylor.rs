//! The settings of the Taylor scores.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the Taylor scores alone read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Taylor {
    /// Images per gradient that is squared; 1 is the definition's per-image form.
    #[schemars(range(min = 1))]
    pub micro: usize,
}

impl Default for Taylor {
    fn default() -> Self {
        Self { micro: 8 }
    }
}
