//! The demo: a synthetic population and an identity provider of its own. Nothing of it is needed in production.

pub mod identity_provider;
pub mod load;
pub mod people;
pub mod population;
