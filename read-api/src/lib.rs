//! read-api
