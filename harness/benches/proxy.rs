//! What the uncut proxy adds to a message's way: 64 bytes there and back, directly and through the proxy.
//!
//! The answer comes back on the same connection, so that the difference of the two is twice the delay that the proxy adds
//! to one message.

use criterion::{Criterion, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use tribunal::cluster::Proxy;

/// Answers every byte with itself.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                stream.set_nodelay(true).expect("set");
                let mut buffer = [0; MESSAGE_BYTES];
                while stream
                    .read_exact(&mut buffer)
                    .and_then(|()| stream.write_all(&buffer))
                    .is_ok()
                {}
            });
        }
    });
    address
}

fn ping(stream: &mut TcpStream) {
    let mut buffer = [0; MESSAGE_BYTES];
    stream.write_all(&buffer).expect("sent");
    stream.read_exact(&mut buffer).expect("answered");
}

fn round_trip(criterion: &mut Criterion) {
    let nodes = BTreeMap::from([(1, echo()), (2, echo())]);
    let proxy = Proxy::start(&nodes).expect("started");
    let ways = [("direct", nodes[&2]), ("proxy", proxy.address(1, 2).expect("a link"))];
    let mut group = criterion.benchmark_group("round trip of 64 B");
    for (name, address) in ways {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.set_nodelay(true).expect("set");
        group.bench_function(name, |bencher| bencher.iter(|| ping(&mut stream)));
    }
    group.finish();
}

const MESSAGE_BYTES: usize = 64;

criterion_group!(benches, round_trip);
criterion_main!(benches);
