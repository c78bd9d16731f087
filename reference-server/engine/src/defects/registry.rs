//! The registry: one line per defect, in the order of the way of a message.
//!
//! The published bugs are named by where they were reported; each defect copies the kind of mistake, not the code.

use super::Planted;

macro_rules! registry {
    ($($defect:ident $name:literal in $lives:literal breaks $breaks:literal $about:literal $copies:literal)+) => {
        /// Every defect that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Defect { $(#[doc = $about] $defect,)+ }
        /// All of them.
        pub const DEFECTS: &[Planted] = &[$(Planted {
            defect: Defect::$defect,
            name: $name,
            lives: $lives,
            breaks: $breaks,
            about: $about,
            copies: $copies,
        },)+];
    };
}

registry! {
    // Sending.
    AckBeforeCommit "ack-before-commit" in "engine/src/server/accept.rs" breaks "durable-ack-power"
        "A message is acknowledged when it is proposed, not when it is committed."
        "nats-io/nats-server#7564"
    DeliverBeforeCommit "deliver-before-commit" in "engine/src/server/accept.rs" breaks "chain-valid"
        "A message is pushed when it is proposed; after a crash its position is given to another one."
        ""
    AckAfterRefusal "ack-after-refusal" in "engine/src/server/commit.rs" breaks "no-loss"
        "A message that the journal had no room for is acknowledged all the same."
        ""
    RefusedIdStaysTaken "refused-id-stays-taken" in "engine/src/server/commit.rs" breaks "send-live"
        "The id of a message that the journal refused counts as taken, so its retries are swallowed."
        "apache/pulsar#5218"
    RejectOfCommitted "reject-of-committed" in "engine/src/server/accept.rs" breaks "errors-truthful"
        "A retry that comes while the first try is being committed is refused for good; the message appears all the same."
        ""
    RefusalTakesEffect "refusal-takes-effect" in "engine/src/server/planted.rs" breaks "errors-truthful"
        "What a removed member sends is refused and stored."
        "status-im/status-legacy#3891"
    SeqGapAfterReject "seq-gap-after-reject" in "engine/src/server/planted.rs" breaks "recovers-within"
        "A refused message uses a position up, and everybody waits for an entry that will never be."
        ""
    PayloadCut "payload-cut" in "engine/src/server/accept.rs" breaks "intact"
        "Payloads are cut off at 256 bytes."
        ""
    WrongConversation "wrong-conversation" in "engine/src/server/planted.rs" breaks "isolation"
        "Every eighth message of a device goes to the first conversation of its user."
        "TryQuiet/quiet#420"

    // Sending again.
    IdsForgottenAtRestart "ids-forgotten-at-restart" in "engine/src/server/recover.rs" breaks "idempotent-send"
        "A restarted server takes retries for new messages."
        ""
    DedupByConnection "dedup-by-connection" in "engine/src/server/login.rs" breaks "idempotent-send"
        "Message ids are remembered for as long as a connection lives."
        "ricochet-im/ricochet#515"
    DedupByUser "dedup-by-user" in "engine/src/server/planted.rs" breaks "seq-sane"
        "Message ids are kept per user: the second device's message 1 is taken for the first one's, and acknowledged."
        ""
    DedupByLastIdOnly "dedup-by-last-id-only" in "engine/src/server/planted.rs" breaks "idempotent-send"
        "Only the newest message id of a device is remembered."
        ""
    DedupWindowTooSmall "dedup-window-too-small" in "engine/src/server/planted.rs" breaks "errors-truthful"
        "Four message ids are remembered per device instead of 1,024; the retry of an older one is refused for good."
        ""
    DedupEvictsNewest "dedup-evicts-newest" in "engine/src/server/planted.rs" breaks "idempotent-send"
        "A dedup window of four ids forgets its newest id instead of its oldest."
        ""
    RetryUnanswered "retry-unanswered" in "engine/src/server/accept.rs" breaks "send-live"
        "The retry of a committed message is recognised and dropped, without an answer."
        ""
    RetryWithNewId "retry-with-new-id" in "engine/src/client/outbox.rs" breaks "idempotent-send"
        "The client gives a message a new id when it sends it again."
        "element-hq/element-web#10273"
    BackoffOverflows "backoff-overflows" in "engine/src/client/outbox.rs" breaks "send-live"
        "The client's third wait for an answer is endless."
        "rikulo/socket.io-client-dart#37"

    // Positions and the chain.
    SeqReusedAfterCrash "seq-reused-after-crash" in "engine/src/server/recover.rs" breaks "seq-sane"
        "After a restart the last position of each conversation is given again."
        ""
    ChainBrokenAtRestart "chain-broken-at-restart" in "engine/src/server/recover.rs" breaks "chain-valid"
        "After a restart the hash chain begins anew."
        ""

    // Delivery.
    CursorAdvancedOnSend "cursor-advanced-on-send" in "engine/src/server/deliver.rs" breaks "inflight-redelivered"
        "An entry counts as acknowledged as soon as it is sent."
        "Yakifo/amqtt#401"
    CursorRegresses "cursor-regresses" in "engine/src/server/cursors.rs" breaks "redelivery-flag-truthful"
        "An old ack that comes late moves the cursor back, and the device is sent what it has, as if it were new."
        ""
    FanOutSkipsOffline "fan-out-skips-offline" in "engine/src/server/login.rs" breaks "offline-complete"
        "Who is not connected when a message is committed is not owed it."
        "emqx/emqx#931"
    FanOutSkipsJoining "fan-out-skips-joining" in "engine/src/server/commit.rs" breaks "no-loss"
        "Who is connected at the moment of joining gets nothing before the next login."
        ""
    DeliveryToRemoved "delivery-to-removed" in "engine/src/server/members.rs" breaks "membership-boundary"
        "Removed members go on receiving."
        "RocketChat/Rocket.Chat#6589"
    JoinerSeesOneMore "joiner-sees-one-more" in "engine/src/server/members.rs" breaks "membership-boundary"
        "Who joins receives the entry before, too."
        ""
    RetransmissionNever "retransmission-never" in "engine/src/server/deliver.rs" breaks "no-loss"
        "An entry that is not acknowledged is not sent again in the same connection."
        "eclipse-mosquitto/mosquitto#897"
    SweepDisabled "sweep-disabled" in "engine/src/server/timers.rs" breaks "no-loss"
        "Nothing looks for what all other mechanisms forgot."
        ""
    RedeliveryFlagNever "redelivery-flag-never" in "engine/src/server/deliver.rs" breaks "redelivery-flag-truthful"
        "Redeliveries are not marked."
        "emqx/emqx#1562"
    RedeliveryFlagAlways "redelivery-flag-always" in "engine/src/server/deliver.rs" breaks "redelivery-flag-truthful"
        "First deliveries are marked as redeliveries."
        ""
    WindowNeverReopens "window-never-reopens" in "engine/src/server/login.rs" breaks "no-loss"
        "A device that was cut off with a full window is never pushed to again."
        "eclipse-hono/hono#1025"

    // Receiving.
    GapAccepted "gap-accepted" in "engine/src/client/inbox.rs" breaks "gap-visible"
        "The client takes an entry although earlier ones are missing."
        ""
    CopiesShown "copies-shown" in "engine/src/client/inbox.rs" breaks "no-duplicates"
        "The client shows copies of what it has."
        "fusesource/mqtt-client#121"
    RetransmissionReorders "retransmission-reorders" in "engine/src/client/inbox.rs" breaks "total-order"
        "The client shows a retransmission at once, whatever is missing before it."
        ""
    ReplyBeforeCause "reply-before-cause" in "engine/src/client/inbox.rs" breaks "causal-order"
        "The client shows an answer at once, whatever is missing before it."
        ""

    // Durability.
    TornTailAccepted "torn-tail-accepted" in "src/journal/log/block.rs" breaks "intact"
        "A restart reads the last block of the log without looking at its checksum, though a loss of power had torn it."
        "litedb-org/LiteDB#2935"
    SyncErrorIgnored "sync-error-ignored" in "src/journal/log.rs" breaks "durable-ack-power"
        "A batch whose sync failed counts as committed."
        "wiki.postgresql.org/wiki/Fsync_Errors"
    LostWakeUp "lost-wake-up" in "src/serve/core.rs" breaks "receipts-complete"
        "What gathered during a commit is not looked at when that is over, but only when something else comes."
        "apache/rocketmq#31"

    // Connections and sessions.
    ResumeFromLastSent "resume-from-last-sent" in "engine/src/server/login.rs" breaks "resume-truthful"
        "A resumed session goes on behind what was sent, not behind what was acknowledged."
        "wolfSSL/wolfMQTT#489"
    ResumeOffByOne "resume-off-by-one" in "engine/src/server/login.rs" breaks "resume-truthful"
        "A resumed session leaves out the first entry that it owes."
        ""
    ResumedThoughLost "resumed-though-lost" in "engine/src/server/recover.rs" breaks "resume-truthful"
        "A restarted server does not know what each device has, takes it to be everything, and says that sessions go on."
        "eclipse-mosquitto/mosquitto#2934"
    ReinstallCalledResumed "reinstall-called-resumed" in "engine/src/server/login.rs" breaks "no-duplicates"
        "A device that lost its state is told that its session goes on, and is sent everything again."
        ""
    TakeoverDropsInFlight "takeover-drops-in-flight" in "engine/src/server/login.rs" breaks "inflight-redelivered"
        "What is in flight when a device's second connection takes over counts as acknowledged."
        "emqx/emqx#6393"
    HalfOpenForgets "half-open-forgets" in "engine/src/server/timers.rs" breaks "inflight-redelivered"
        "What is in flight in a connection that is given up as silent counts as acknowledged."
        "processone/ejabberd#3228"
    StuckAfterTwoPartitions "stuck-after-two-partitions" in "engine/src/server/login.rs" breaks "no-loss"
        "When two connections have been given up as silent, later ones are greeted and then forgotten."
        "jepsen.io/analyses/bufstream-0.1.0"
    HeartbeatKillsBusy "heartbeat-kills-busy" in "engine/src/server/mod.rs" breaks "latency"
        "Only pings count as signs of life, and a busy client does not ping."
        "ntex-rs/ntex-mqtt#14"

    // Receipts.
    ReceiptBeforeDelivery "receipt-before-delivery" in "engine/src/server/receipts.rs" breaks "receipts-truthful"
        "What was sent to a device is reported as delivered."
        ""
    ReceiptLostAtReconnect "receipt-lost-at-reconnect" in "engine/src/server/login.rs" breaks "receipts-complete"
        "Receipts that a device is owed when it connects are not sent."
        ""
    ReadReceiptOfWrongMessage "read-receipt-of-wrong-message" in "engine/src/server/receipts.rs" breaks "receipts-truthful"
        "A read receipt names the newest message that was delivered."
        ""

    // History.
    PageSkipsOne "page-skips-one" in "engine/src/server/planted.rs" breaks "history-agrees"
        "Each page of history but the first leaves one message out."
        "matrix-org/matrix-ios-sdk#1404"
    PageShowsOneTwice "page-shows-one-twice" in "engine/src/server/planted.rs" breaks "history-agrees"
        "Each page of history but the first repeats the last message of the page before."
        ""
    PageShiftedByArrival "page-shifted-by-arrival" in "engine/src/server/planted.rs" breaks "history-agrees"
        "A page of history but the first that is read while a message arrives repeats the last message of the page before."
        "nextcloud/spreed#767"
    HistoryStale "history-stale" in "engine/src/server/sync.rs" breaks "read-your-writes"
        "History is read from a copy that lacks the newest message."
        ""
    HistoryLeaks "history-leaks" in "engine/src/server/sync.rs" breaks "membership-boundary"
        "History shows members also what was said before they joined."
        ""
    BacklogCut "backlog-cut" in "engine/src/server/planted.rs" breaks "offline-complete"
        "Of a backlog only the newest 16 entries are kept, and nothing says so."
        "thingsboard/tbmq#320"
    PageBlank "page-blank" in "engine/src/server/planted.rs" breaks "no-phantoms"
        "Entries that are read back from the store have zeroes for a payload."
        ""
}
