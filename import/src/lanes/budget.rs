//! What a slim network may cost.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::analysis::Lanes;
use super::kept::Kept;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantity {
    /// Multiply-accumulates of one image.
    Macs,
    /// Elements of trainable tensors.
    Params,
    /// Lanes of each group.
    Channels,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A share of the dense network's, in (0, 1].
    Share(f64),
    /// A number.
    Absolute(f64),
}

/// "At most this much of that", as in `macs=50%` or `params=1.2M`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// What is counted.
    pub quantity: Quantity,
    /// At most this much.
    pub amount: Amount,
}

/// Why a text is no budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// It has another form.
    #[error("'{0}' is not a budget; write macs=50%, params=1.2M or channels=50%")]
    Form(String),
    /// It names nothing that is counted.
    #[error("'{0}' cannot be budgeted; choose macs, params or channels")]
    Quantity(String),
    /// A share outside (0, 100].
    #[error("the budget '{0}' must be more than 0 % and at most 100 % of the dense network")]
    Share(String),
    /// Channels are counted per group, so only a share makes sense.
    #[error("the budget '{0}' must be a percentage, because channels are counted in each group by themselves")]
    Channels(String),
}

impl FromStr for Budget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        let form = || BudgetError::Form(text.to_owned());
        let (name, amount) = text.split_once('=').ok_or_else(form)?;
        let quantity = match name.trim() {
            "macs" => Quantity::Macs,
            "params" => Quantity::Params,
            "channels" => Quantity::Channels,
            other => return Err(BudgetError::Quantity(other.to_owned())),
        };
        let amount = amount.trim();
        let amount = match amount.strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.trim().parse().map_err(|_| form())?;
                if !(percent > 0.0 && percent <= 100.0) {
                    return Err(BudgetError::Share(text.to_owned()));
                }
                Amount::Share(percent / 100.0)
            }
            None if quantity == Quantity::Channels => return Err(BudgetError::Channels(text.to_owned())),
            None => Amount::Absolute(absolute(amount).filter(|&n| n >= 1.0).ok_or_else(form)?),
        };
        Ok(Self { quantity, amount })
    }
}

/// A number with an optional factor: k, M, G.
fn absolute(text: &str) -> Option<f64> {
    let factor = match text.chars().last()? {
        'k' | 'K' => 1e3,
        'M' => 1e6,
        'G' => 1e9,
        _ => return text.parse().ok(),
    };
    Some(text[..text.len() - 1].trim().parse::<f64>().ok()? * factor)
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.quantity {
            Quantity::Macs => "macs",
            Quantity::Params => "params",
            Quantity::Channels => "channels",
        };
        match self.amount {
            Amount::Share(share) => write!(f, "{name}={}%", share * 100.0),
            Amount::Absolute(number) => write!(f, "{name}={number}"),
        }
    }
}

impl Budget {
    /// The limit as a number, for quantities of the whole network.
    pub fn limit(&self, lanes: &Lanes) -> f64 {
        let dense = vec![1.0; lanes.lanes.len()];
        match self.amount {
            Amount::Absolute(number) => number,
            Amount::Share(share) => share * self.spent(lanes, &dense),
        }
    }

    /// How much of the quantity a choice of lanes takes; for channels, the share of all lanes that is kept.
    pub fn spent(&self, lanes: &Lanes, kept: &[f64]) -> f64 {
        match self.quantity {
            Quantity::Macs => lanes.cost.macs(kept),
            Quantity::Params => lanes.cost.params(kept),
            Quantity::Channels => kept.iter().sum::<f64>() / kept.len().max(1) as f64,
        }
    }

    /// Whether a choice of lanes stays within the budget. Groups too small to keep the share of them but one lane are
    /// not held against it.
    pub fn holds(&self, lanes: &Lanes, kept: &Kept) -> bool {
        match (self.quantity, self.amount) {
            (Quantity::Channels, Amount::Share(share)) => lanes.groups.iter().all(|group| {
                let count = group.lanes.iter().filter(|lane| kept.keeps(**lane)).count();
                count <= 1.max((share * group.lanes.len() as f64).floor() as usize)
            }),
            _ => self.spent(lanes, &kept.as_numbers()) <= self.limit(lanes) * (1.0 + 1e-12),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn budgets_are_read() {
        let half: Budget = "macs=50%".parse().unwrap();
        assert_eq!(half, Budget { quantity: Quantity::Macs, amount: Amount::Share(0.5) });
        let params: Budget = "params=1.2M".parse().unwrap();
        assert_eq!(params.amount, Amount::Absolute(1.2e6));
        assert_eq!(half.to_string(), "macs=50%");
    }

    #[test]
    fn impossible_budgets_are_refused() {
        for text in ["macs=0%", "macs=200%", "macs=-5%", "macs=nan%"] {
            assert!(matches!(text.parse::<Budget>(), Err(BudgetError::Share(_))), "{text}");
        }
        assert!(matches!("macs".parse::<Budget>(), Err(BudgetError::Form(_))));
        assert!(matches!("speed=50%".parse::<Budget>(), Err(BudgetError::Quantity(_))));
        assert!(matches!("channels=12".parse::<Budget>(), Err(BudgetError::Channels(_))));
        assert!(matches!("params=0".parse::<Budget>(), Err(BudgetError::Form(_))));
    }
}
