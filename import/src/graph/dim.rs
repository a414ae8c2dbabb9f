//! Sizes of axes: a number, or a number times named unknowns.
//!
//! A monomial `coefficient × symbol × symbol …` is closed under the products and exact quotients that reshape
//! needs, so a dynamic batch passes through shape arithmetic without ever being guessed.

use std::collections::HashMap;
use std::fmt;

/// A product of more unknowns than this is not followed. Arithmetic may square one again and again.
const MOST_UNKNOWNS: usize = 64;

/// An unknown size. Two axes with the same symbol have the same size at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(u32);

/// The size of one axis, or one element of shape arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dim {
    coefficient: i64,
    symbols: Vec<Symbol>,
}

impl Dim {
    /// A known size.
    pub fn known(n: i64) -> Self {
        Self { coefficient: n, symbols: Vec::new() }
    }

    /// An unknown size.
    pub fn symbol(symbol: Symbol) -> Self {
        Self { coefficient: 1, symbols: vec![symbol] }
    }

    /// The number, when nothing is unknown.
    pub fn value(&self) -> Option<i64> {
        self.symbols.is_empty().then_some(self.coefficient)
    }

    /// The number as an array length, when it is known and not negative.
    pub fn extent(&self) -> Option<usize> {
        self.value().and_then(|n| usize::try_from(n).ok())
    }

    /// Whether this can be the size of an axis: it is not below zero, whatever its unknowns are.
    pub fn is_size(&self) -> bool {
        self.coefficient >= 0
    }

    /// Whether this is known to be `n`.
    pub fn is(&self, n: i64) -> bool {
        self.value() == Some(n)
    }

    /// The product, or `None` when the number overflows or takes more unknowns than any size is made of.
    pub fn times(&self, other: &Self) -> Option<Self> {
        let coefficient = self.coefficient.checked_mul(other.coefficient)?;
        if self.symbols.len() + other.symbols.len() > MOST_UNKNOWNS {
            return None;
        }
        let mut symbols = self.symbols.clone();
        symbols.extend_from_slice(&other.symbols);
        symbols.sort_unstable();
        Some(Self { coefficient, symbols })
    }

    /// The exact quotient, or `None` when there is a remainder or a symbol that does not cancel.
    pub fn divide(&self, other: &Self) -> Option<Self> {
        let mut symbols = self.symbols.clone();
        for symbol in &other.symbols {
            let at = symbols.iter().position(|s| s == symbol)?;
            symbols.remove(at);
        }
        if other.coefficient == 0 || self.coefficient.checked_rem(other.coefficient)? != 0 {
            return None;
        }
        Some(Self { coefficient: self.coefficient / other.coefficient, symbols })
    }

    /// The sum, when it is again a monomial.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        if self.is(0) {
            return Some(other.clone());
        }
        if other.is(0) {
            return Some(self.clone());
        }
        (self.symbols == other.symbols)
            .then(|| self.coefficient.checked_add(other.coefficient))
            .flatten()
            .map(|coefficient| Self { coefficient, symbols: self.symbols.clone() })
    }

    /// The size when every symbol stands for `unknown`, as in cost figures at batch 1.
    pub fn at(&self, unknown: i64) -> f64 {
        self.symbols.iter().fold(self.coefficient as f64, |n, _| n * unknown as f64)
    }

    /// The symbols, sorted, with repetition.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }
}

/// The product of all sizes, or `None` when it overflows.
pub fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Option<Dim> {
    dims.into_iter().try_fold(Dim::known(1), |all, dim| all.times(dim))
}

impl From<i64> for Dim {
    fn from(n: i64) -> Self {
        Self::known(n)
    }
}

/// Hands out symbols and remembers the names that the file gives them.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    names: Vec<Option<String>>,
    by_name: HashMap<String, Symbol>,
}

impl Symbols {
    /// The symbol of a named dimension; the same name gives the same symbol.
    pub fn named(&mut self, name: &str) -> Symbol {
        if let Some(&known) = self.by_name.get(name) {
            return known;
        }
        let symbol = Symbol(self.names.len() as u32);
        self.names.push(Some(name.to_owned()));
        self.by_name.insert(name.to_owned(), symbol);
        symbol
    }

    /// A size about which nothing is known.
    pub fn fresh(&mut self) -> Dim {
        self.names.push(None);
        Dim::symbol(Symbol(self.names.len() as u32 - 1))
    }

    /// The name that the file gives a symbol.
    pub fn name(&self, symbol: Symbol) -> Option<&str> {
        self.names.get(symbol.0 as usize)?.as_deref()
    }

    /// A size as text: `64`, `batch`, `3×?12`.
    pub fn show(&self, dim: &Dim) -> String {
        let names = dim.symbols.iter().map(|s| self.name(*s).map_or_else(|| s.to_string(), str::to_owned));
        let mut parts: Vec<String> = names.collect();
        if dim.coefficient != 1 || parts.is_empty() {
            parts.insert(0, dim.coefficient.to_string());
        }
        parts.join("×")
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "?{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_cancel_in_quotients() {
        let mut symbols = Symbols::default();
        let batch = Dim::symbol(symbols.named("batch"));
        let all = product(&[batch.clone(), Dim::known(64), Dim::known(7), Dim::known(7)]);
        let rest = all.and_then(|all| all.divide(&batch));
        assert_eq!(rest.and_then(|d| d.value()), Some(64 * 49));
        assert_eq!(Dim::known(10).divide(&Dim::known(4)), None);
        assert_eq!(Dim::known(10).divide(&batch), None);
        assert_eq!(Dim::known(i64::MAX).times(&Dim::known(2)), None);
    }

    #[test]
    fn one_name_is_one_symbol() {
        let mut symbols = Symbols::default();
        assert_eq!(symbols.named("n"), symbols.named("n"));
        assert_ne!(Dim::symbol(symbols.named("n")), symbols.fresh());
    }
}
