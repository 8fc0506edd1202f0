//! A scripted server on loopback, for what real ones do only on bad days: errors, garbage, broken connections, silence. That real
//! programs understand the requests is shown by `tests/reference/servers.py`.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sentinel_core::digest::Digest;
use sentinel_domain::ports::{
    Captioning, Continuation, EngineError, Prompt, Sampling, SentenceEnd, ServerSpec, Vlm, Watch,
};
use sentinel_remote::{open, server::Server};
use serde_json::{Value, json};

const SECRET: &str = "sk-do-not-print";

/// What the server does with one request.
enum Answer {
    /// A status, more header lines, a body.
    Whole(u16, &'static str, String),
    /// Events, and whether the stream ends as it should.
    Stream(Vec<Value>, bool),
    /// Nothing, for ever.
    Silence,
}

/// A server that answers `/models` by itself, everything else by its script, and keeps what was asked.
struct Scripted {
    url: String,
    asked: Arc<Mutex<Vec<Value>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

fn serve(owned_by: &'static str, script: Vec<Answer>) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (asked, heads) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let script = Arc::new(Mutex::new(script.into_iter()));
    let (kept, seen) = (asked.clone(), heads.clone());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (kept, seen, script) = (kept.clone(), seen.clone(), script.clone());
            std::thread::spawn(move || {
                let mut connection = connection.unwrap();
                let Some((head, body)) = request(&connection) else { return };
                seen.lock().unwrap().push(head.clone());
                if head.starts_with("GET /v1/models") {
                    let models = json!({ "data": [{ "id": "tiny", "owned_by": owned_by }] });
                    return write(&mut connection, 200, "", &models.to_string());
                }
                kept.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
                let answer = script.lock().unwrap().next().expect("the script answers every request");
                match answer {
                    Answer::Whole(status, headers, body) => write(&mut connection, status, headers, &body),
                    Answer::Silence => std::thread::sleep(Duration::from_secs(60)),
                    Answer::Stream(events, is_whole) => {
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                        let _ = connection.write_all(head.as_bytes());
                        for event in events {
                            // The client hangs up once it has enough.
                            let _ = connection.write_all(format!(": ping\r\ndata: {event}\r\n\r\n").as_bytes());
                        }
                        if is_whole {
                            let _ = connection.write_all(b"data: [DONE]\n\n");
                        }
                    }
                }
            });
        }
    });
    Scripted { url, asked, heads }
}

fn request(connection: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(connection);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(told) = line.to_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            return Some((head, body));
        }
        head.push_str(&line);
    }
}

fn write(connection: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let kind = if headers.contains("content-type") { "" } else { "content-type: application/json\r\n" };
    let head = format!("HTTP/1.1 {status} X\r\n{kind}content-length: {length}\r\nconnection: close\r\n{headers}\r\n");
    let _ = connection.write_all(format!("{head}{body}").as_bytes());
}

fn piece(index: u32, text: &str, finish: Option<&str>) -> Value {
    json!({ "choices": [{ "index": index, "delta": { "content": text }, "finish_reason": finish }] })
}

fn stream(pieces: &[(u32, &str, Option<&str>)]) -> Answer {
    Answer::Stream(pieces.iter().map(|(index, text, finish)| piece(*index, text, *finish)).collect(), true)
}

struct Never(AtomicBool);

impl Watch for Never {
    fn cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
    fn progress(&self, _: u64, _: u64, _: &'static str, _: &[(&'static str, f64)]) {}
}

fn watch() -> Never {
    Never(AtomicBool::new(false))
}

fn spec(url: &str) -> ServerSpec {
    ServerSpec {
        url: url.to_owned(),
        model: "tiny".to_owned(),
        secret: None,
        continuation: Continuation::Auto,
        concurrency: 1,
        timeout: Duration::from_secs(1),
        retries: 1,
    }
}

fn opened(server: &Scripted) -> Server {
    open(&spec(&server.url), Some(SECRET.to_owned())).unwrap()
}

fn settings(n: u32) -> Sampling {
    Sampling {
        n,
        temperature: 0.7,
        top_p: 1.0,
        top_k: 0,
        max_tokens: 40,
        sentence_end: SentenceEnd::Text,
        seed: 42,
        stream: "sample".to_owned(),
    }
}

fn prompt<'a>(id: &'a str, context: &'a [String]) -> Prompt<'a> {
    let bytes = Arc::new(vec![0x89, b'P', b'N', b'G']);
    Prompt { id, step: 0, picture: Digest::of(&bytes), bytes, question: "What is here?", context }
}

/// Samples for one record; returns (text, ended, cut) of each candidate, or the reason of its fault.
type Told = Result<Vec<(String, bool, bool)>, String>;

fn sampled(server: &Scripted, n: u32, context: &[String]) -> Result<Told, EngineError> {
    let answers = opened(server).sample(&[prompt("a", context)], &settings(n), None, &watch())?;
    let [answer] = answers.try_into().unwrap_or_else(|_| panic!("one record, one answer"));
    Ok(match answer {
        Ok(sentences) => Ok(sentences.into_iter().map(|drawn| (drawn.text, drawn.ended, drawn.cut)).collect()),
        Err(fault) => Err(format!("{}: {}", fault.reason, fault.detail)),
    })
}

fn said(text: &str, ended: bool, cut: bool) -> (String, bool, bool) {
    (text.to_owned(), ended, cut)
}

#[test]
fn candidates_come_from_one_request_where_the_program_can() {
    let script = stream(&[
        (0, " A dog", None),
        (1, "", Some("stop")),
        (2, "At 3.", None),
        (0, " sits. A cat", None),
        (2, "5 m", Some("length")),
    ]);
    let server = serve("vllm", vec![script]);
    let told = sampled(&server, 3, &[]).unwrap().unwrap();
    assert_eq!(told, [said("A dog sits.", false, false), said("", true, false), said("At 3.5 m", false, true)]);
    let asked = server.asked.lock().unwrap();
    assert_eq!((asked.len(), &asked[0]["n"], &asked[0]["max_tokens"]), (1, &json!(3), &json!(40)));
    assert_eq!(asked[0]["messages"][0]["content"][0]["image_url"]["url"], "data:image/png;base64,iVBORw==");
    assert_eq!(asked[0]["messages"][0]["content"][1]["text"], "What is here?");
    assert!(asked[0].get("top_p").is_none() && asked[0].get("continue_final_message").is_none());
}

#[test]
fn elsewhere_each_candidate_has_its_own_request_and_seed() {
    let one = || stream(&[(0, "A dog sits.", Some("stop"))]);
    let server = serve("someone", vec![one(), one()]);
    let told = sampled(&server, 2, &[]).unwrap().unwrap();
    assert_eq!(told, [said("A dog sits.", false, false), said("A dog sits.", false, false)]);
    let asked = server.asked.lock().unwrap();
    assert!(asked.iter().all(|asked| asked.get("n").is_none()));
    assert_ne!(asked[0]["seed"], asked[1]["seed"]);
    assert!(server.heads.lock().unwrap().iter().all(|head| head.contains(&format!("Bearer {SECRET}"))));
}

#[test]
fn a_description_goes_on_as_a_turn_or_is_quoted() {
    let context = ["A dog sits.".to_owned(), "It is red.".to_owned()];
    let one = || stream(&[(0, "So.", Some("stop"))]);
    let turn = serve("llamacpp", vec![one()]);
    sampled(&turn, 1, &context).unwrap().unwrap();
    let asked = turn.asked.lock().unwrap()[0].clone();
    assert_eq!(asked["messages"][1], json!({ "role": "assistant", "content": "A dog sits. It is red." }));
    assert_eq!((&asked["continue_final_message"], &asked["add_generation_prompt"]), (&json!(true), &json!(false)));
    let quoted = serve("someone", vec![one()]);
    sampled(&quoted, 1, &context).unwrap().unwrap();
    let asked = quoted.asked.lock().unwrap()[0].clone();
    assert_eq!(asked["messages"].as_array().unwrap().len(), 1);
    let question = asked["messages"][0]["content"][1]["text"].as_str().unwrap();
    assert!(question.starts_with("What is here?") && question.contains("\"A dog sits. It is red.\""), "{question}");
}

#[test]
fn captions_are_cut_into_sentences() {
    let server = serve("someone", vec![stream(&[(0, "A dog sits. Dr. No", None), (0, " waits.\nSo", Some("length"))])]);
    let settings = Captioning { sampling: settings(1), max_tokens: 99, max_sentences: 10 };
    let context = ["Look.".to_owned()];
    let captions = opened(&server).caption(&[prompt("a", &context)], &settings, None, &watch()).unwrap();
    let caption = captions[0].as_ref().unwrap();
    assert_eq!(caption.sentences, ["Look.", "A dog sits.", "Dr. No waits.", "So"]);
    assert!(caption.cut);
    assert_eq!(server.asked.lock().unwrap()[0]["max_tokens"], 99);
}

#[test]
fn an_answer_in_one_piece_will_do() {
    let body = json!({ "choices": [{ "message": { "content": "A dog sits. So" }, "finish_reason": "stop" }] });
    let server = serve("someone", vec![Answer::Whole(200, "", body.to_string())]);
    assert_eq!(sampled(&server, 1, &[]).unwrap().unwrap(), [said("A dog sits.", false, false)]);
}

#[test]
fn what_may_pass_is_tried_again() {
    let good = || stream(&[(0, "A dog sits.", Some("stop"))]);
    let bad = [
        Answer::Whole(503, "", "{}".to_owned()),
        Answer::Whole(429, "retry-after: 0\r\n", "slow down".to_owned()),
        Answer::Stream(vec![piece(0, "A dog", None)], false),
        Answer::Stream(vec![json!("what?")], true),
        Answer::Stream(vec![json!({ "error": { "message": "out of memory" } })], true),
        Answer::Stream(vec![piece(7, "A dog sits.", Some("stop"))], true),
        Answer::Whole(200, "", "<html>".to_owned()),
        Answer::Silence,
    ];
    for answer in bad {
        let server = serve("someone", vec![answer, good()]);
        assert_eq!(sampled(&server, 1, &[]).unwrap().unwrap(), [said("A dog sits.", false, false)]);
        assert_eq!(server.asked.lock().unwrap().len(), 2);
    }
}

#[test]
fn what_does_not_pass_stops_the_stage_and_tells_why() {
    let twice = |status, body: &str| {
        let server = serve(
            "someone",
            vec![Answer::Whole(status, "", body.to_owned()), Answer::Whole(status, "", body.to_owned())],
        );
        let error = sampled(&server, 1, &[]).unwrap_err();
        (error, server.asked.lock().unwrap().len())
    };
    let (error, attempts) = twice(500, "boom");
    assert!(
        matches!(&error, EngineError::World(message) if message.contains("500") && message.contains("boom")),
        "{error}"
    );
    assert_eq!(attempts, 2);
    // A wrong key is not tried again, and not printed even where the server repeats it.
    let (error, attempts) = twice(401, &format!("wrong key {SECRET}"));
    assert!(matches!(&error, EngineError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("[redacted]") && !error.to_string().contains(SECRET), "{error}");
    assert_eq!(attempts, 1);
    let (error, _) = twice(404, "no route");
    assert!(error.to_string().contains("404") && error.to_string().contains("/v1/chat/completions"), "{error}");
    assert!(error.to_string().contains("`url` is the address up to `/v1`"), "{error}");
    let page = "content-type: text/html\r\n";
    let server = serve("someone", vec![Answer::Whole(200, page, "<html>welcome</html>".to_owned())]);
    let error = sampled(&server, 1, &[]).unwrap_err();
    assert!(matches!(&error, EngineError::Refused(message) if message.contains("a page")), "{error}");
    // Another address is never followed.
    let server = serve("someone", vec![Answer::Whole(302, "location: http://127.0.0.1:9/\r\n", String::new())]);
    assert!(sampled(&server, 1, &[]).unwrap_err().to_string().contains("302"));
}

#[test]
fn a_request_that_cannot_be_answered_costs_only_its_record() {
    let bad = Answer::Whole(400, "", json!({ "error": { "message": "picture too large" } }).to_string());
    let server = serve("someone", vec![bad, stream(&[(0, "A dog sits.", Some("stop"))])]);
    let prompts = [prompt("a", &[]), prompt("b", &[])];
    let answers = opened(&server).sample(&prompts, &settings(1), None, &watch()).unwrap();
    let fault = answers[0].as_ref().unwrap_err();
    assert!(fault.reason == "server-refused" && fault.detail.contains("picture too large"), "{fault:?}");
    assert_eq!(answers[1].as_ref().unwrap()[0].text, "A dog sits.");
}

#[test]
fn an_unknown_model_and_no_server_are_told_when_opened() {
    let server = serve("vllm", vec![]);
    let other = ServerSpec { model: "tinny".to_owned(), ..spec(&server.url) };
    let error = open(&other, None).err().unwrap().to_string();
    assert!(error.contains("`tinny`") && error.contains("`tiny`"), "{error}");
    let nobody = ServerSpec { retries: 0, ..spec("http://127.0.0.1:9/v1") };
    assert!(
        matches!(open(&nobody, None).err().unwrap(), EngineError::World(message) if message.contains("127.0.0.1:9"))
    );
}

#[test]
fn stopping_does_not_wait_for_the_server() {
    let server = serve("someone", vec![Answer::Silence]);
    let patient = ServerSpec { timeout: Duration::from_secs(50), ..spec(&server.url) };
    let model = open(&patient, None).unwrap();
    let watch = Arc::new(watch());
    let stopper = watch.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        stopper.0.store(true, Ordering::Relaxed);
    });
    let begin = Instant::now();
    let answer = model.sample(&[prompt("a", &[])], &settings(1), None, &*watch);
    assert!(matches!(answer, Err(EngineError::Cancelled)));
    assert!(begin.elapsed() < Duration::from_secs(30), "a hang would take fifty seconds");
}
