//! What is refused, by the kind of bound: fields, bodies, rows, sockets, rates.

pub(crate) mod bad_input;
mod bodies;
mod fields;
mod limits;
mod rows;
mod sockets;
