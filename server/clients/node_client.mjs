// A round trip of Amazon's SDK for Node with its defaults, which send and check a
// CRC of every body: node_client.mjs SDK-DIRECTORY BUCKET MEGABYTES ENDPOINT...
// What is written through the first endpoint is read through all.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { Readable } from "node:stream";

const [directory, Bucket, megabytes, ...endpoints] = process.argv.slice(2);
const require = createRequire(directory + "/");
const sdk = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");

const clients = endpoints.map((endpoint) => new sdk.S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, maxAttempts: 1 }));
const first = clients[0];
const last = clients.at(-1);
const MiB = 1 << 20;

async function get(client, Key, more = {}) {
  const answer = await client.send(new sdk.GetObjectCommand({ Bucket, Key, ...more }));
  return { ...answer, bytes: Buffer.from(await answer.Body.transformToByteArray()) };
}

async function refused(name, promise) {
  await assert.rejects(promise, (e) => e.name === name);
}

async function objects() {
  const Body = randomBytes(300_000);
  const Key = "a/key + with %41 & grüße/日本語";
  const put = await first.send(new sdk.PutObjectCommand({ Bucket, Key, Body, Metadata: { color: "blue" } }));
  assert.ok(put.ChecksumCRC32, "no checksum was sent by default");
  for (const c of clients) {
    const got = await get(c, Key);
    assert.ok(got.bytes.equals(Body));
    assert.equal(got.ETag, put.ETag);
    assert.equal(got.ChecksumCRC32, put.ChecksumCRC32);
    assert.deepEqual(got.Metadata, { color: "blue" });
    assert.ok((await get(c, Key, { Range: "bytes=1000-1999" })).bytes.equals(Body.subarray(1000, 2000)));
    await refused("NoSuchKey", get(c, "none"));
  }
  // A stream cannot be read twice: its checksum comes in a trailer.
  const ContentLength = 3 * MiB;
  const streamed = randomBytes(ContentLength);
  await first.send(new sdk.PutObjectCommand({ Bucket, Key: "streamed", Body: Readable.from(pieces(streamed)), ContentLength }));
  for (const c of clients) assert.ok((await get(c, "streamed")).bytes.equals(streamed));
  for (const ChecksumAlgorithm of ["CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
    const field = "Checksum" + ChecksumAlgorithm;
    const sent = await first.send(new sdk.PutObjectCommand({ Bucket, Key: ChecksumAlgorithm, Body, ChecksumAlgorithm }));
    assert.ok(sent[field], field);
    for (const c of clients) assert.equal((await get(c, ChecksumAlgorithm, { ChecksumMode: "ENABLED" }))[field], sent[field]);
  }
}

function* pieces(b) {
  for (let i = 0; i < b.length; i += 50_000) yield b.subarray(i, i + 50_000);
}

async function lists() {
  const keys = Array.from({ length: 45 }, (_, n) => `list/${"abc"[n % 3]}/${n}`).sort();
  await Promise.all(keys.map((Key) => first.send(new sdk.PutObjectCommand({ Bucket, Key, Body: Key }))));
  for (const client of clients) {
    const found = [];
    for await (const page of sdk.paginateListObjectsV2({ client, pageSize: 7 }, { Bucket, Prefix: "list/" })) found.push(...page.Contents.map((o) => o.Key));
    assert.deepEqual(found, keys);
    const folders = await client.send(new sdk.ListObjectsV2Command({ Bucket, Prefix: "list/", Delimiter: "/" }));
    assert.deepEqual(folders.CommonPrefixes.map((p) => p.Prefix), ["list/a/", "list/b/", "list/c/"]);
  }
}

async function parts() {
  const Body = randomBytes(Number(megabytes) * MiB + 12345);
  const upload = new Upload({ client: first, params: { Bucket, Key: "large", Body }, partSize: 5 * MiB });
  const done = await upload.done();
  assert.match(done.ETag, /-\d+"$/);
  for (const c of clients) assert.ok((await get(c, "large")).bytes.equals(Body));
  // One upload, its parts through different endpoints.
  const { UploadId } = await first.send(new sdk.CreateMultipartUploadCommand({ Bucket, Key: "byhand" }));
  const Parts = [];
  for (let n = 0; n < 3; n++) {
    const part = Body.subarray(n * 5 * MiB, (n + 1) * 5 * MiB);
    const sent = await clients[n % clients.length].send(new sdk.UploadPartCommand({ Bucket, Key: "byhand", UploadId, PartNumber: n + 1, Body: part }));
    Parts.push({ PartNumber: n + 1, ETag: sent.ETag, ChecksumCRC32: sent.ChecksumCRC32 });
  }
  await last.send(new sdk.CompleteMultipartUploadCommand({ Bucket, Key: "byhand", UploadId, MultipartUpload: { Parts } }));
  for (const c of clients) assert.ok((await get(c, "byhand")).bytes.equals(Body.subarray(0, 15 * MiB)));
}

async function conditions() {
  for (let round = 0; round < 10; round++) {
    const Key = "race/" + round;
    const results = await Promise.allSettled(
      Array.from({ length: 16 }, (_, n) => clients[n % clients.length].send(new sdk.PutObjectCommand({ Bucket, Key, Body: String(n), IfNoneMatch: "*" }))),
    );
    const winners = results.flatMap((r, n) => (r.status === "fulfilled" ? [n] : []));
    assert.equal(winners.length, 1, `round ${round}: winners ${winners}`);
    for (const r of results) {
      if (r.status === "rejected") assert.ok(["PreconditionFailed", "ConditionalRequestConflict"].includes(r.reason.name), String(r.reason));
    }
    for (const c of clients) assert.equal((await get(c, Key)).bytes.toString(), String(winners[0]));
  }
}

async function removal() {
  const { Contents } = await first.send(new sdk.ListObjectsV2Command({ Bucket }));
  const Objects = Contents.map(({ Key }) => ({ Key }));
  const answer = await last.send(new sdk.DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  assert.equal(answer.Deleted.length, Objects.length);
  for (const c of clients) assert.equal((await c.send(new sdk.ListObjectsV2Command({ Bucket }))).KeyCount, 0);
  await last.send(new sdk.DeleteBucketCommand({ Bucket }));
  for (const c of clients) await refused("NoSuchBucket", c.send(new sdk.ListObjectsV2Command({ Bucket })));
}

await first.send(new sdk.CreateBucketCommand({ Bucket }));
for (const part of [objects, lists, parts, conditions, removal]) {
  console.log("---", part.name);
  await part();
}
