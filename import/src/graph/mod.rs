//! The resolved view of a model's main graph. Pure data: what an operator means is for others to say.

mod codes;
mod content;
mod dim;
mod ids;
mod network;
mod node;
mod refusal;
mod value;

pub(crate) use codes::codes;
pub use content::Content;
pub(crate) use content::FOLD_LIMIT;
pub(crate) use content::Instead;
pub use dim::{Dim, Symbol, Symbols, product};
pub use ids::{NodeId, RowId, StoredId, ValueId};
pub use network::Graph;
pub use node::Node;
pub use refusal::{Code, Refusal};
pub use value::{Origin, Place, Shape, StoredTensor, Value};
