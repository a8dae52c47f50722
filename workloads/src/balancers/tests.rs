//! Every policy: its shares, its known sequences, and that it never leaves the nodes that are up.
