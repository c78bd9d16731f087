//! Whole reports, as they must look.

pub(super) const PASSED_TEXT: &str = r"PASSED: groups/kill (reference, sim, seed 42)

  1 send: 1 accepted; 1 delivery
  1 fault: 1 took effect

  guarantee    claimed  verdict   observed
  no-loss      yes      pass      1 acked, delivered to 2 devices
  chain-valid  yes      skipped   the protocol has no chain
  total-order  no       violated  1 pair in two orders

  latency    faults       p50       p90       p99     p99.9      max  count  never
  accepted   inside  ~4.00 ms  ~4.00 ms  ~4.00 ms  ~4.00 ms  4.00 ms      1      0
  delivered  inside  ~5.00 ms    ~never    ~never    ~never    never      1      1
  ~ too few samples: fewer than 10 lie beyond it

  repeat: avouch run groups/kill --seed 42
";

pub(super) const VIOLATED_TEXT: &str = r"VIOLATED: groups/kill (reference, sim, seed 42)
  - no-loss is violated: 3 of 4,120 acked messages are lost
  - gate accepted_p99 is inconclusive: 0 samples outside fault windows; p99 needs 1000

  1 send: 1 accepted; 1 delivery
  1 fault: 1 took effect

  guarantee             claimed  verdict       observed
  no-loss               yes      violated      3 of 4,120 acked messages are lost
  chain-valid           yes      skipped       the protocol has no chain
  total-order           no       violated      1 pair in two orders
  latency accepted_p99  gate     inconclusive  0 samples outside fault windows; p99 needs 1000

  latency    faults       p50       p90       p99     p99.9      max  count  never
  accepted   inside  ~4.00 ms  ~4.00 ms  ~4.00 ms  ~4.00 ms  4.00 ms      1      0
  delivered  inside  ~5.00 ms    ~never    ~never    ~never    never      1      1
  ~ too few samples: fewer than 10 lie beyond it

  no-loss: lost
    expected: m7 reaches u2.d0: it was acked as stored
    actual:   it never arrived
       +0.000 ms  u0.d0    sends m7 to general (64 B, 1.00 ms late)
       +1.000 ms  fault 0  kill begins (n1)
       +1.000 ms  n1       killed
       +3.000 ms  u0.d0    is told: m7 is stored as #12  [during fault 0]
       +4.000 ms  u1.d0    receives m7 as #12 in general  [during fault 0]
      +50.000 ms  fault 0  ends (pid 7 is gone)
                  u2.d0    never receives m7
  and 2 more of no-loss

  repeat: avouch run groups/kill --seed 42
";

pub(super) const BOTH_TEXT: &str = r"VIOLATED: 2 runs (1 violated, 1 passed)

  passed    groups/kill  reference, sim, seed 42  1 send: 1 accepted; 1 delivery
  violated  groups/kill  reference, sim, seed 42  no-loss is violated: 3 of 4,120 acked messages are lost
";

pub(super) const PASSED_MARKDOWN: &str = r"## ✅ passed: groups/kill

reference, sim, seed 42

1 send: 1 accepted; 1 delivery

1 fault: 1 took effect

| guarantee | claimed | verdict | observed |
|---|---|---|---|
| no-loss | yes | pass | 1 acked, delivered to 2 devices |
| chain-valid | yes | skipped | the protocol has no chain |
| total-order | no | violated | 1 pair in two orders |

| latency | faults | p50 | p90 | p99 | p99.9 | max | count | never |
|---|---|--:|--:|--:|--:|--:|--:|--:|
| accepted | inside | \~4.00 ms | \~4.00 ms | \~4.00 ms | \~4.00 ms | 4.00 ms | 1 | 0 |
| delivered | inside | \~5.00 ms | \~never | \~never | \~never | never | 1 | 1 |

\~ too few samples: fewer than 10 lie beyond it

Repeat: <code>avouch run groups/kill --seed 42</code>
";

pub(super) const VIOLATED_MARKDOWN: &str = r"## ❌ violated: groups/kill

reference, sim, seed 42

- no-loss is violated: 3 of 4,120 acked messages are lost
- gate accepted\_p99 is inconclusive: 0 samples outside fault windows; p99 needs 1000

1 send: 1 accepted; 1 delivery

1 fault: 1 took effect

| guarantee | claimed | verdict | observed |
|---|---|---|---|
| no-loss | yes | **violated** | 3 of 4,120 acked messages are lost |
| chain-valid | yes | skipped | the protocol has no chain |
| total-order | no | violated | 1 pair in two orders |
| latency accepted\_p99 | gate | inconclusive | 0 samples outside fault windows; p99 needs 1000 |

| latency | faults | p50 | p90 | p99 | p99.9 | max | count | never |
|---|---|--:|--:|--:|--:|--:|--:|--:|
| accepted | inside | \~4.00 ms | \~4.00 ms | \~4.00 ms | \~4.00 ms | 4.00 ms | 1 | 0 |
| delivered | inside | \~5.00 ms | \~never | \~never | \~never | never | 1 | 1 |

\~ too few samples: fewer than 10 lie beyond it

<details><summary>no-loss: 3 findings</summary>

<pre>
lost
  expected: m7 reaches u2.d0: it was acked as stored
  actual:   it never arrived
     +0.000 ms  u0.d0    sends m7 to general (64 B, 1.00 ms late)
     +1.000 ms  fault 0  kill begins (n1)
     +1.000 ms  n1       killed
     +3.000 ms  u0.d0    is told: m7 is stored as #12  [during fault 0]
     +4.000 ms  u1.d0    receives m7 as #12 in general  [during fault 0]
    +50.000 ms  fault 0  ends (pid 7 is gone)
                u2.d0    never receives m7
</pre>

and 2 more of no-loss

</details>

Repeat: <code>avouch run groups/kill --seed 42</code>
";

pub(super) const BOTH_MARKDOWN: &str = r"# ❌ violated: 2 runs (1 violated, 1 passed)

| outcome | scenario | setting | why |
|---|---|---|---|
| ✅ passed | groups/kill | reference, sim, seed 42 | 1 send: 1 accepted; 1 delivery |
| ❌ violated | groups/kill | reference, sim, seed 42 | no-loss is violated: 3 of 4,120 acked messages are lost |
";

pub(super) const BOTH_JUNIT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="avouch" tests="9" failures="1" errors="1" skipped="2" time="0.500">
  <testsuite name="groups/kill" tests="4" failures="0" errors="0" skipped="1" time="0.250">
    <properties>
      <property name="setting" value="reference, sim, seed 42"/>
      <property name="repeat" value="avouch run groups/kill --seed 42"/>
    </properties>
    <testcase classname="groups/kill" name="run"/>
    <testcase classname="groups/kill" name="no-loss">
      <system-out>1 acked, delivered to 2 devices</system-out>
    </testcase>
    <testcase classname="groups/kill" name="chain-valid">
      <skipped message="the protocol has no chain"/>
    </testcase>
    <testcase classname="groups/kill" name="total-order">
      <system-out>violated (claimed: no): 1 pair in two orders</system-out>
    </testcase>
  </testsuite>
  <testsuite name="groups/kill" tests="5" failures="1" errors="1" skipped="1" time="0.250">
    <properties>
      <property name="setting" value="reference, sim, seed 42"/>
      <property name="repeat" value="avouch run groups/kill --seed 42"/>
    </properties>
    <testcase classname="groups/kill" name="run"/>
    <testcase classname="groups/kill" name="no-loss">
      <failure type="violated" message="3 of 4,120 acked messages are lost">
lost
  expected: m7 reaches u2.d0: it was acked as stored
  actual:   it never arrived
     +0.000 ms  u0.d0    sends m7 to general (64 B, 1.00 ms late)
     +1.000 ms  fault 0  kill begins (n1)
     +1.000 ms  n1       killed
     +3.000 ms  u0.d0    is told: m7 is stored as #12  [during fault 0]
     +4.000 ms  u1.d0    receives m7 as #12 in general  [during fault 0]
    +50.000 ms  fault 0  ends (pid 7 is gone)
                u2.d0    never receives m7
and 2 more of no-loss
repeat: avouch run groups/kill --seed 42
</failure>
    </testcase>
    <testcase classname="groups/kill" name="chain-valid">
      <skipped message="the protocol has no chain"/>
    </testcase>
    <testcase classname="groups/kill" name="total-order">
      <system-out>violated (claimed: no): 1 pair in two orders</system-out>
    </testcase>
    <testcase classname="groups/kill" name="latency accepted_p99">
      <error type="inconclusive" message="0 samples outside fault windows; p99 needs 1000"/>
    </testcase>
  </testsuite>
</testsuites>
"#;
