//! The node's HTTP/1.1 server: see [`crate::api`] for what is asked and answered.
//!
//! A handler reads the body, asks the core's thread, and waits for as long as its client does. If the client goes away the
//! handler is dropped; what was asked then happens or not, and nobody is told.
//!
//! Invariants:
//! * a request of another run never reaches the core;
//! * a body over [`BODY_BYTES_MAX`] is not stored;
//! * what the core did not answer is never answered as if it had: if the node ends first, the outcome is unknown.
//!
//! Absent on purpose: TLS, authentication, and extractors and layers that every request would have to pay for.

use crate::api::{
    AdminReply, AdminRequest, BODY_BYTES_MAX, ErrorReply, ExecuteReply, ExecuteRequest,
    SessionReply, SessionRequest, Status, http_status, operation_name,
};
use crate::event_loop::{Ask, What};
use crate::metrics::Metrics;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tribunal_protocol::{Certainty, Failure, NodeId, Reply, Request};

/// What every handler knows.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) run: u64,
    pub(crate) node: NodeId,
    pub(crate) incarnation: u64,
    pub(crate) requests: mpsc::Sender<Ask>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Serves clients for as long as the node lives.
pub(crate) async fn serve(listener: TcpListener, api: Api) {
    let router = Router::new()
        .route("/v1/execute", post(execute))
        .route("/v1/session", post(session))
        .route("/v1/admin", post(admin))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .with_state(Arc::new(api));
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("a client's connection stays slow: TCP_NODELAY: {error}");
        }
    });
    if let Err(error) = axum::serve(listener, router).await {
        eprintln!("the HTTP server ended: {error}");
    }
}

/// Why a request was not answered with a result.
enum Refused {
    Malformed(String),
    TooLarge,
    WrongRun { asked: u64, here: u64 },
    Failed(Failure),
}

impl Refused {
    /// The HTTP status, and what is answered.
    fn reply(&self) -> (u16, ErrorReply) {
        let error = |error, certainty, message| ErrorReply {
            error: Cow::Borrowed(error),
            message,
            certainty,
        };
        match self {
            Self::Malformed(why) => (400, error("malformed", Certainty::Request, why.clone())),
            Self::TooLarge => {
                let why = format!("the body was not read whole, or exceeds {BODY_BYTES_MAX} bytes");
                // A body that broke off says nothing about another attempt's.
                (413, error("too-large", Certainty::Attempt, why))
            }
            Self::WrongRun { asked, here } => {
                let why = format!("this node belongs to run {here}, not to {asked}");
                (421, error("wrong-run", Certainty::Attempt, why))
            }
            Self::Failed(failure) => (http_status(failure), ErrorReply::from(failure)),
        }
    }
}

async fn execute(State(api): State<Arc<Api>>, body: Body) -> Response {
    let request: ExecuteRequest = match read(body).await {
        Ok(request) => request,
        Err(refused) => return api.refuse("unread", &refused),
    };
    let function = match &request.operations[..] {
        [] => {
            let why = Refused::Malformed("a command has at least one operation".to_owned());
            return api.refuse("unread", &why);
        }
        [operation] => operation_name(operation),
        [_, ..] => "txn",
    };
    let run = request.run;
    let asked = What::Request(Request::Execute(request.into_command()));
    match api.ask(run, asked).await {
        Ok(Reply::Results(results)) => api.answer(function, &ExecuteReply { results }),
        Ok(other) => api.refuse(function, &unexpected(&other)),
        Err(refused) => api.refuse(function, &refused),
    }
}

async fn session(State(api): State<Arc<Api>>, body: Body) -> Response {
    let request: SessionRequest = match read(body).await {
        Ok(request) => request,
        Err(refused) => return api.refuse("unread", &refused),
    };
    let asked = What::Request(Request::OpenSession { nonce: request.nonce });
    match api.ask(request.run, asked).await {
        Ok(Reply::Session(session)) => api.answer("session", &SessionReply { session }),
        Ok(other) => api.refuse("session", &unexpected(&other)),
        Err(refused) => api.refuse("session", &refused),
    }
}

async fn admin(State(api): State<Arc<Api>>, body: Body) -> Response {
    let request: AdminRequest = match read(body).await {
        Ok(request) => request,
        Err(refused) => return api.refuse("unread", &refused),
    };
    match api.ask(request.run, What::Admin(request.admin)).await {
        Ok(Reply::Done) => api.answer("admin", &AdminReply { done: true }),
        Ok(other) => api.refuse("admin", &unexpected(&other)),
        Err(refused) => api.refuse("admin", &refused),
    }
}

async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let mut response = Response::new(Body::from(api.metrics.prometheus()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

async fn status(State(api): State<Arc<Api>>) -> Response {
    let status = Status {
        node: api.node,
        incarnation: api.incarnation,
        run: api.run,
        role: api.metrics.role(),
        leader: api.metrics.leader(),
        ballot: api.metrics.ballot(),
        applied: api.metrics.applied(),
    };
    json(StatusCode::OK, &status)
}

impl Api {
    /// Asks the core, and waits.
    async fn ask(&self, run: u64, what: What) -> Result<Reply, Refused> {
        if run != self.run {
            return Err(Refused::WrongRun { asked: run, here: self.run });
        }
        let (answer, answered) = oneshot::channel();
        self.requests
            .try_send(Ask { what, answer })
            .map_err(|_| Refused::Failed(Failure::Overloaded))?;
        match answered.await {
            Ok(Reply::Failed(failure)) => Err(Refused::Failed(failure)),
            Ok(reply) => Ok(reply),
            Err(_) => Err(Refused::Failed(Failure::Unknown)),
        }
    }

    fn answer<T: Serialize>(&self, function: &str, reply: &T) -> Response {
        self.metrics.operation(function, "ok");
        json(StatusCode::OK, reply)
    }

    fn refuse(&self, function: &str, refused: &Refused) -> Response {
        let (status, reply) = refused.reply();
        self.metrics.operation(function, &reply.error);
        json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &reply)
    }
}

/// A reply of a kind that was not asked for says nothing about what was.
fn unexpected(reply: &Reply) -> Refused {
    eprintln!("the core answered with a reply that does not fit the request: {reply:?}");
    Refused::Failed(Failure::Unknown)
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Refused> {
    // The other cause is a client that went away, who will not read this.
    let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Refused::TooLarge)?;
    serde_json::from_slice(&bytes).map_err(|error| Refused::Malformed(error.to_string()))
}

fn json<T: Serialize>(status: StatusCode, reply: &T) -> Response {
    let bytes = serde_json::to_vec(reply).expect("strings, numbers and lists have a JSON form");
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Another attempt of the same request may have come through whole, so a broken body says nothing about that one.
    #[tokio::test]
    async fn a_body_that_breaks_off_rules_out_this_attempt_only() {
        let broken = Err::<&[u8], _>(io::Error::other("the client went away"));
        let body = Body::from_stream(futures_util::stream::iter([Ok(&b"{"[..]), broken]));
        let Err(refused) = read::<SessionRequest>(body).await else { panic!("not whole") };
        let (status, reply) = refused.reply();
        assert_eq!((status, reply.certainty), (413, Certainty::Attempt));
    }
}
