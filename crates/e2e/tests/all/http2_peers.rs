//! hyper's `h2` as client and as server: another implementation at both ends (`scripts/peers` has those of other languages).
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use portcullis_e2e::World;
use portcullis_e2e::binary::Binary;
use std::future::poll_fn;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Bytes = bytes::Bytes;

/// Of a connection, as hyper has it: with 64 KiB for all streams together, bodies that wait for each other stop for good.
const WINDOW: u32 = 5 << 20;

/// Sends what windows allow, until all is sent or nobody wants it any more.
async fn send_all(send: &mut SendStream<Bytes>, mut data: Bytes) {
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        match poll_fn(|cx| send.poll_capacity(cx)).await {
            Some(Ok(n)) => send.send_data(data.split_to(n.min(data.len())), false).expect("a window"),
            _ => return,
        }
    }
}

/// The next piece of a body.
async fn piece(body: &mut RecvStream) -> Option<Bytes> {
    let data = body.data().await?.expect("a body");
    body.flow_control().release_capacity(data.len()).expect("a window");
    Some(data)
}

async fn trailers(body: &mut RecvStream) -> HeaderMap {
    body.trailers().await.expect("trailers").unwrap_or_default()
}

/// Sends back what comes, and its trailers.
async fn echo(request: Request<RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
    let response = Response::builder().header("x-path", request.uri().path()).body(()).expect("a response");
    let mut send = respond.send_response(response, false).expect("a stream");
    let mut body = request.into_body();
    while let Some(data) = piece(&mut body).await {
        send_all(&mut send, data).await;
    }
    send.send_trailers(trailers(&mut body).await).expect("a stream");
}

async fn serve(listener: TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut connection = h2::server::Builder::new()
                .initial_connection_window_size(WINDOW)
                .handshake(socket)
                .await
                .expect("a client");
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(echo(request, respond));
            }
        });
    }
}

/// One request with a body of this many bytes; all of it comes back.
async fn ask(client: h2::client::SendRequest<Bytes>, n: usize) {
    let request = Request::post(format!("http://test/{n}")).body(()).expect("a request");
    let mut client = client.ready().await.expect("room");
    let (response, mut send) = client.send_request(request, false).expect("a stream");
    let sent = Bytes::from(vec![n as u8; n]);
    let all = sent.clone();
    let sender = tokio::spawn(async move {
        send_all(&mut send, all).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", "yes".parse().expect("a value"));
        send.send_trailers(trailers).expect("a stream");
    });
    let response = response.await.expect("a response");
    assert_eq!(response.headers()["x-path"], format!("/{n}"));
    let (mut got, mut body) = (Vec::new(), response.into_body());
    while let Some(data) = piece(&mut body).await {
        got.extend_from_slice(&data);
    }
    assert_eq!((got.len(), got == sent), (n, true));
    assert_eq!(trailers(&mut body).await["x-end"], "yes");
    sender.await.expect("all was sent");
}

#[test]
fn bodies_and_trailers_both_ways() {
    let mut w = World::new(Binary::under_test());
    let origin = std::net::TcpListener::bind(("127.0.0.1", w.port("o1"))).expect("a port");
    origin.set_nonblocking(true).expect("a socket");
    w.proxy(
        "listen fe\n  bind 127.0.0.1:${fe} proto h2\n  http-reuse always\n  server s1 127.0.0.1:${o1} proto h2\n",
    );
    let port = w.port("fe");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        tokio::spawn(serve(TcpListener::from_std(origin).expect("a socket")));
        for _ in 0..3 {
            let socket = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
            let (client, connection) = h2::client::Builder::new()
                .initial_connection_window_size(WINDOW)
                .handshake(socket)
                .await
                .expect("a server");
            let connection = tokio::spawn(connection);
            let mut all = JoinSet::new();
            for n in 0..90 {
                all.spawn(ask(client.clone(), n * n * 9));
            }
            all.join_all().await;
            drop(client);
            connection.await.expect("an end").expect("no error");
        }
    });
}
