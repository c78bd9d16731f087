// Reads what a run folder holds of latencies with another make's reader (hdr-histogram-js, from npm), and compares it with run.json.
//
//   node .ci/histograms.mjs MODULES RUN-FOLDER…    MODULES: where npm installed hdr-histogram-js
//
// Interval log (format 1.2, tags): its intervals, added up per tag, have exactly the counts, percentiles and maxima of run.json.
// Percentile distributions (.hgrm): line by line what the reader itself writes of the same histogram.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [modules, ...folders] = process.argv.slice(2);
const hdr = createRequire(join(resolve(modules), "package.json"))("hdr-histogram-js");

// Three significant digits, one hour in microseconds: what latencies are recorded with.
const empty = () => hdr.build({ lowestDiscernibleValue: 1, highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: 3, bitBucketSize: 64 });
const PERCENTILES = { p50_us: 50, p90_us: 90, p99_us: 99, p999_us: 99.9 };
const TICKS_PER_HALF = 5;

// Tag → all of its intervals as one histogram.
function intervalLog(file) {
  const reader = new hdr.HistogramLogReader(readFileSync(file, "utf8"), 64);
  const totals = new Map();
  for (let next = reader.nextIntervalHistogram(); next; next = reader.nextIntervalHistogram()) {
    if (!totals.has(next.tag)) totals.set(next.tag, empty());
    totals.get(next.tag).add(next);
  }
  return totals;
}

// One row of run.json; gives back how many of its percentiles could be compared.
function compareRow(row, found, name) {
  assert.equal(found.totalCount, row.count, `${name}: count`);
  if (row.never > 0) return 0; // their percentiles know nothing of what never arrived
  const edge = (value) => found.lowestEquivalentValue(value); // run.json has the lower edge of a bucket, the reader the upper one
  for (const [field, percentile] of Object.entries(PERCENTILES)) {
    assert.equal(edge(found.getValueAtPercentile(percentile)), row[field], `${name}: ${field}`);
  }
  assert.equal(edge(found.maxValue), row.max_us, `${name}: max_us`);
  return 5;
}

// `value percentile count …` of each line; the last one ends there or with `inf`.
const lines = (text) => text.split("\n").map((line) => line.trim().split(/\s+/)).filter((line) => /^[0-9.]+$/.test(line[0]) && line.length >= 3);

// A distribution of ours against that of the reader, of the same values.
function compareDistribution(file, found) {
  const ours = lines(readFileSync(file, "utf8"));
  const theirs = lines(found.outputPercentileDistribution(TICKS_PER_HALF, 1_000, false));
  assert.ok(ours.length > 1, `${file}: it has no lines`);
  assert.deepEqual(ours.map(([value, , count]) => [value, count]), theirs.map(([value, , count]) => [value, count]), file);
  for (const [number, [, percentile]] of ours.entries()) {
    assert.ok(Math.abs(Number(percentile) - Number(theirs[number][1])) < 1e-9, `${file}: ${percentile} and ${theirs[number][1]}`);
  }
  return ours.length;
}

// Where conversations are of several sizes, the tags of all sizes add up to those of the whole, and to what load.json says of each.
function compareSizes(folder, totals, sizes) {
  const file = join(folder, "load.json");
  const bySize = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).by_size ?? [] : [];
  assert.equal(sizes.length > 0, bySize.length > 0, `${folder}: sizes in the log and in load.json`);
  const sums = new Map();
  for (const tag of sizes) {
    const whole = tag.slice(0, tag.indexOf("-members-"));
    if (!sums.has(whole)) sums.set(whole, empty());
    sums.get(whole).add(totals.get(tag));
  }
  for (const [whole, sum] of sums) {
    assert.equal(sum.outputPercentileDistribution(), totals.get(whole).outputPercentileDistribution(), `${folder}: ${whole} by size`);
  }
  for (const { members, latency } of bySize) {
    for (const row of latency) {
      const tags = sizes.filter((tag) => tag.startsWith(`${row.stage}-`) && tag.endsWith(`-members-${members ?? "others"}`));
      const count = tags.reduce((sum, tag) => sum + totals.get(tag).totalCount, 0);
      assert.equal(count, row.count, `${folder}: ${row.stage} of ${members}`);
    }
  }
}

let percentiles = 0;
let distributions = 0;
for (const folder of folders) {
  const totals = intervalLog(join(folder, "latency.hlog"));
  const { latency } = JSON.parse(readFileSync(join(folder, "run.json"), "utf8"));
  const rows = latency.rows.filter((row) => row.count > 0);
  const sizes = [...totals.keys()].filter((tag) => tag.includes("-members-"));
  assert.equal(totals.size - sizes.length, rows.length, `${folder}: as many series as run.json has`);
  for (const row of rows) {
    const tag = `${row.stage}-${row.from}-${row.window}`;
    assert.ok(totals.has(tag), `${folder}: ${tag} is not in the log`);
    percentiles += compareRow(row, totals.get(tag), `${folder} ${tag}`);
  }
  compareSizes(folder, totals, sizes);
  for (const stage of ["accepted", "delivered", "receipt"]) {
    const file = join(folder, `${stage}.hgrm`);
    const outside = totals.get(`${stage}-intended-outside`);
    if (existsSync(file) && outside) distributions += compareDistribution(file, outside);
  }
  const samples = rows.reduce((sum, row) => sum + row.count, 0);
  assert.ok(samples > 0, `${folder}: nothing was measured`);
  console.log(`   ${folder}: ${rows.length} series, ${samples} samples`);
}
assert.ok(percentiles > 0 && distributions > 0, "nothing was compared");
console.log(`   ${percentiles} percentiles and ${distributions} lines of distributions are the same`);
