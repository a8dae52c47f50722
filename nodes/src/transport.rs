//! How messages get from one node to another: TCP, one connection a directed link.
//!
//! Each node dials each peer for the messages that it sends, and only reads from connections that it accepted. So a
//! fault on the link from a to b touches nothing that b sends to a.
//!
//! * [`frame`]: length-delimited frames of postcard.
//! * [`handshake`]: what a connection opens with, and who is refused.
//! * [`outbound`]: the queue for a peer, and the connection that empties it.
//! * [`inbound`]: the connections of peers, and the messages from them.
//!
//! Invariants: memory is bounded a peer; no peer can block another; a frame arrives whole or not at all.
//! Absent on purpose: acknowledgements, retries and order across connections. The protocol survives loss, and a
//! transport that hid it would only delay what the protocol has to do anyhow.

pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod inbound;
pub(crate) mod outbound;

#[cfg(test)]
mod tests;

pub(crate) use handshake::Refusal;
pub(crate) use outbound::Dropped;
