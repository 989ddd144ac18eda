//! The data that yima stores and sends: types, codecs, rules, code format, problem types. No I/O and no clock.

pub mod agency;
pub mod agency_session;
pub mod audit;
pub mod bundle;
pub mod change;
pub mod code;
mod codec;
pub mod cql;
pub mod dead_letter;
pub mod derive;
mod digest;
pub mod ended_sessions;
pub mod event;
pub mod freshness;
pub mod guardianship_tokens;
pub mod guardianships;
pub mod guidance;
pub mod handover;
pub mod hints;
pub mod limits;
pub mod mark;
pub mod mask;
mod named;
pub mod phones;
pub mod plain_text;
pub mod problem;
pub mod resident_id;
pub mod rules;
pub mod seal;
pub mod session;
pub mod subject;
pub mod time;
pub mod view;

pub use codec::DecodeError;
