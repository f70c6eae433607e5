//! The EC2 test front: AWS's behaviour that the emulator lacks.
//!
//! A thin proxy before the emulator. It adds idempotent client tokens, refusals (capacity, quota, permissions,
//! throttling), 5xx and missing answers after a call was carried out, late visibility, AWS's own checks, image aliases
//! and spot prices; all scripted per test. It has images with their volumes, and regions that fail as a whole. It
//! records every call, and validates each against AWS's own description of its interface: a request that AWS would
//! refuse fails its test. Everything else passes through byte for byte. Each front has an emulated account of its own.

mod account;
mod boot;
mod catalog;
mod guard;
mod images;
mod launches;
mod limits;
mod objects;
mod pricing;
mod readings;
mod regions;
mod spot;
mod tokens;
mod weather;
mod wire;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response, header};
use base64::Engine;
use jiff::Timestamp;

use crate::edge::now;
use crate::moto::Moto;
use account::Rights;
use boot::Boots;
pub(crate) use boot::unpacked;
pub use catalog::{list_price, spot_price, zones};
pub use guard::Wrong;
pub use images::{
    DEBIAN_ARM_IMAGE, DEBIAN_IMAGE, GPU_ARM_IMAGE, GPU_IMAGE, Image, LeftVolume, PROPRIETARY_GPU_IMAGE,
    UBUNTU_ARM_IMAGE, UBUNTU_IMAGE, Volume,
};
use launches::Template;
pub use regions::Trouble;
use spot::Interruptions;
use tokens::Tokens;
use weather::Sky;
pub use weather::{Override, Weather};
pub use wire::{Answer, Ask, Refusal};

/// One call as AWS would have seen it.
#[derive(Clone, Debug)]
pub struct Call {
    /// `CreateFleet`.
    pub action: String,
    /// `ec2`: the prefix of the permission's name.
    pub service: String,
    /// `us-east-1`.
    pub region: String,
    /// Flat parameters.
    pub params: BTreeMap<String, String>,
    /// HTTP status of the answer; 0 while (or if) there is none.
    pub status: u16,
    /// Time of the call.
    pub at: Timestamp,
}

/// The front of one test.
pub struct Front {
    inner: Arc<Inner>,
    port: u16,
    server: tokio::task::JoinHandle<()>,
}

struct Inner {
    /// The account in the emulator.
    account: String,
    emulator: String,
    /// Start of the front: changes before it have the same times for every call.
    began: Timestamp,
    client: reqwest::Client,
    calls: Mutex<Vec<Call>>,
    sky: Mutex<Sky>,
    templates: Mutex<Vec<Template>>,
    known_images: Mutex<HashSet<String>>,
    images: Mutex<Vec<Image>>,
    /// Architectures of each type, as far as they were requested.
    architectures: Mutex<BTreeMap<String, Vec<String>>>,
    made_volumes: Mutex<BTreeMap<String, Vec<Volume>>>,
    /// GiB of the snapshots that tests have made.
    snapshots: Mutex<BTreeMap<String, u32>>,
    wrong: Mutex<Vec<Wrong>>,
    boots: Mutex<Option<Boots>>,
    interruptions: Mutex<Interruptions>,
    rights: Mutex<Rights>,
    tokens: tokio::sync::Mutex<Tokens>,
    itself: Weak<Inner>,
}

impl Front {
    /// Starts a front on a free loopback port with an empty account behind it.
    ///
    /// # Panics
    /// When the emulator is not available; the message contains the reason.
    pub async fn start() -> Self {
        static ACCOUNTS: AtomicU64 = AtomicU64::new(100_000_000_001);
        let emulator =
            tokio::task::spawn_blocking(|| Moto::shared().url()).await.expect("the emulator starts");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let account = ACCOUNTS.fetch_add(1, Ordering::Relaxed).to_string();
        let inner = Arc::new_cyclic(|itself| Inner {
            account,
            emulator,
            began: now(),
            client,
            calls: Mutex::default(),
            sky: Mutex::default(),
            templates: Mutex::default(),
            known_images: Mutex::default(),
            images: Mutex::new(images::public()),
            architectures: Mutex::default(),
            made_volumes: Mutex::default(),
            snapshots: Mutex::default(),
            wrong: Mutex::default(),
            boots: Mutex::default(),
            interruptions: Mutex::default(),
            rights: Mutex::default(),
            tokens: tokio::sync::Mutex::default(),
            itself: itself.clone(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves until the test ends");
        });
        Self { inner, port, server }
    }

    /// Returns `http://127.0.0.1:PORT`, the value of `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next call of this action meets this weather.
    pub fn script(&self, action: &str, weather: Weather) {
        self.inner.sky().add(action, weather, Some(1));
    }

    /// The next `times` calls of this action meet this weather.
    pub fn script_times(&self, action: &str, weather: Weather, times: u32) {
        self.inner.sky().add(action, weather, Some(times));
    }

    /// Every call of this action from now on meets this weather.
    pub fn script_always(&self, action: &str, weather: Weather) {
        self.inner.sky().add(action, weather, None);
    }

    /// Removes capacity for these overrides: reported inside the 200 of CreateFleet, as AWS does.
    pub fn dry(&self, is_dry: impl Fn(&Override) -> bool + Send + 'static) {
        self.refuse(move |one| is_dry(one).then(Refusal::capacity));
    }

    /// Refuses these overrides, each with its own reason, inside the 200 of CreateFleet.
    pub fn refuse(&self, refusal: impl Fn(&Override) -> Option<Refusal> + Send + 'static) {
        self.inner.sky().refusals.push(Box::new(refusal));
    }

    /// Hides all of the account's machines from the next `describes` DescribeInstances calls.
    pub fn hide_instances(&self, describes: u32) {
        self.inner.sky().hidden_describes = describes;
    }

    /// Hides launch templates from the next `calls` CreateFleet calls: EC2 is eventually consistent.
    pub fn late_templates(&self, calls: u32) {
        self.inner.sky().late_templates = calls;
    }

    /// Limits each page of spot prices from now on, as AWS may do.
    pub fn small_price_pages(&self, entries: usize) {
        self.inner.sky().largest_price_page = Some(entries);
    }

    /// Runs a new instance's user data from now on, on this machine; the instance ends when it ends.
    pub fn boot_instances(&self) {
        self.inner.boots().get_or_insert_with(Boots::new);
    }

    /// Returns every call so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.inner.calls.lock().expect("never poisoned").clone()
    }

    /// Returns the calls of one action.
    #[must_use]
    pub fn calls_of(&self, action: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.action == action).collect()
    }

    /// Returns the number of calls of one action.
    #[must_use]
    pub fn count(&self, action: &str) -> usize {
        self.calls_of(action).len()
    }
}

/// Returns user data as the machine reads it.
#[must_use]
pub fn plain(user_data: &[u8]) -> String {
    String::from_utf8_lossy(&unpacked(user_data.to_vec())).into_owned()
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
        // Machines that still run end with the test, even while a call in progress holds the rest.
        self.inner.boots().take();
        self.judge();
    }
}

impl Inner {
    fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().expect("never poisoned")
    }

    fn templates(&self) -> MutexGuard<'_, Vec<Template>> {
        self.templates.lock().expect("never poisoned")
    }

    fn known_images(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known_images.lock().expect("never poisoned")
    }

    fn images(&self) -> MutexGuard<'_, Vec<Image>> {
        self.images.lock().expect("never poisoned")
    }

    fn architectures(&self) -> MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        self.architectures.lock().expect("never poisoned")
    }

    fn snapshots(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.snapshots.lock().expect("never poisoned")
    }

    fn made_volumes(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Volume>>> {
        self.made_volumes.lock().expect("never poisoned")
    }

    fn wrong(&self) -> MutexGuard<'_, Vec<Wrong>> {
        self.wrong.lock().expect("never poisoned")
    }

    fn interruptions(&self) -> MutexGuard<'_, Interruptions> {
        self.interruptions.lock().expect("never poisoned")
    }

    fn rights(&self) -> MutexGuard<'_, Rights> {
        self.rights.lock().expect("never poisoned")
    }

    /// Records a call, and returns its index.
    fn record(&self, call: Call) -> usize {
        let mut calls = self.calls.lock().expect("never poisoned");
        calls.push(call);
        calls.len() - 1
    }

    fn boots(&self) -> MutexGuard<'_, Option<Boots>> {
        self.boots.lock().expect("never poisoned")
    }

    async fn act(&self, ask: &Ask) -> Answer {
        match ask.action.as_str() {
            "CreateLaunchTemplate" | "CreateFleet" | "RunInstances" => self.launch_call(ask).await,
            "DescribeInstances" => self.describe(ask).await,
            "DescribeImages" => self.describe_images(ask).await,
            "TerminateInstances" => self.terminate(ask).await,
            "DescribeSpotInstanceRequests" => self.spot_requests(),
            "GetConsoleOutput" => self.console(ask).await,
            "DescribeSpotPriceHistory" => {
                let largest = self.sky().largest_price_page;
                catalog::spot_history(ask, self.began, largest)
            }
            "DescribeRouteTables" => self.route_tables(ask).await,
            "SimulatePrincipalPolicy" => self.rights().simulate(ask),
            "GetServiceQuota" => self.rights().service_quota(ask),
            "GetProducts" => pricing::products(ask),
            "GetParameter" => match catalog::parameter(ask) {
                Some(answer) => answer,
                None => self.forward(ask).await,
            },
            _ => self.forward(ask).await,
        }
    }

    async fn describe(&self, ask: &Ask) -> Answer {
        let hidden = {
            let mut sky = self.sky();
            let hidden = sky.hidden_describes > 0;
            sky.hidden_describes = sky.hidden_describes.saturating_sub(1);
            hidden
        };
        match (hidden, ask.list("InstanceId").as_slice()) {
            (false, _) => self.with_reasons(self.forward(ask).await),
            (true, []) => Answer::ec2("DescribeInstances", "<reservationSet/>"),
            (true, [id, ..]) => {
                let message = format!("The instance ID '{id}' does not exist");
                Refusal::new(400, "InvalidInstanceID.NotFound", message).answer("ec2")
            }
        }
    }

    async fn terminate(&self, ask: &Ask) -> Answer {
        let answer = self.forward(ask).await;
        if answer.status == 200 {
            let ids = ask.list("InstanceId");
            // Reads /proc, and waits for what it kills.
            let ended = tokio::task::spawn_blocking(move || ids.iter().for_each(|id| boot::power_off(id)));
            ended.await.expect("powers off");
        }
        answer
    }

    async fn console(&self, ask: &Ask) -> Answer {
        let id = ask.get("InstanceId");
        let Some(written) = self.boots().as_ref().and_then(|boots| boots.console(id)) else {
            return self.forward(ask).await;
        };
        let output = base64::engine::general_purpose::STANDARD.encode(written);
        let written_at = now().strftime("%Y-%m-%dT%H:%M:%S.000Z");
        let children = format!(
            "<instanceId>{id}</instanceId><timestamp>{written_at}</timestamp><output>{output}</output>"
        );
        Answer::ec2("GetConsoleOutput", &children)
    }

    /// Forwards a call to the emulator.
    async fn forward(&self, ask: &Ask) -> Answer {
        let mut headers = ask.headers.clone();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert("x-moto-account-id", HeaderValue::from_str(&self.account).expect("digits"));
        let sent = self
            .client
            .post(format!("{}/", self.emulator))
            .headers(headers)
            .body(ask.body.clone())
            .send()
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return Refusal::new(502, "EmulatorGone", error.to_string()).answer(&ask.service),
        };
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Answer {
            status: answer.status().as_u16(),
            content_type: kind.unwrap_or("text/xml").to_owned(),
            body: answer.bytes().await.map(|bytes| bytes.to_vec()).unwrap_or_default(),
        }
    }

    /// A call of the front's own, which is not recorded.
    async fn own_call(&self, region: &str, params: &[(&str, &str)]) -> Answer {
        let signature = format!(
            "AWS4-HMAC-SHA256 Credential=front/20260101/{region}/ec2/aws4_request, SignedHeaders=host, Signature=0"
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&signature).expect("plain text"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let params = params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.forward(&Ask::read(headers, Vec::new()).with_params(params)).await
    }
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: axum::http::Method,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let ask = Ask::read(headers, body.to_vec());
    if uri.path().starts_with("/past-the-front") {
        return inner.forward(&ask).await.into_response();
    }
    let path = uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
    let wrong = inner.guard(&ask, method.as_str(), path).await;
    if ask.service == "s3" {
        return inner.object(method, &uri, &ask).await;
    }
    let index = inner.record(Call {
        action: ask.action.clone(),
        service: ask.service.clone(),
        region: ask.region.clone(),
        params: ask.params.clone(),
        status: 0,
        at: now(),
    });
    // In a separate task: AWS completes a call when the caller disconnects.
    let task = {
        let inner = Arc::clone(&inner);
        tokio::spawn(async move {
            match wrong {
                Some(refused) => refused,
                None => under_the_sky(&inner, &ask).await,
            }
        })
    };
    let answer = task.await.expect("no call panics");
    if let Some(call) = inner.calls.lock().expect("never poisoned").get_mut(index) {
        call.status = answer.status;
    }
    answer.into_response()
}

async fn under_the_sky(inner: &Inner, ask: &Ask) -> Answer {
    let weather = inner.sky().next(&ask.action);
    let broken = |status: u16| {
        Refusal::new(status, "InternalError", "An internal error has occurred").answer(&ask.service)
    };
    match weather {
        None => match inner.troubled(ask) {
            Some(answer) => answer,
            None => inner.act(ask).await,
        },
        Some(Weather::Refuse(refusal)) => refusal.answer(&ask.service),
        Some(Weather::ServerError(status)) => broken(status),
        Some(Weather::ServerErrorAfterDoing(status)) => {
            inner.act(ask).await;
            broken(status)
        }
        Some(Weather::Hang) => std::future::pending().await,
        Some(Weather::HangAfterDoing) => {
            inner.act(ask).await;
            std::future::pending().await
        }
        Some(Weather::Late(delay)) => {
            tokio::time::sleep(delay).await;
            inner.act(ask).await
        }
    }
}
