//! Operators that draw random numbers.

/// Operators of the default domain that draw, and take a `seed` attribute that is a float.
const DRAWING: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// Whether an operator may draw random numbers, from its attribute `seed` where that is given.
pub fn draws_random(domain: &str, op: &str) -> bool {
    domain.is_empty() && DRAWING.contains(&op)
}
