//! Tests of the durable store on a real file system.
