"""A round trip of boto3: boto3_client.py SIGNATURE BUCKET MEGABYTES ENDPOINT...

What is written through the first endpoint is read through all.
"""

import concurrent.futures
import io
import os
import sys
import urllib.error
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import ClientError

MIB = 1 << 20
PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)


def client(endpoint, signature):
    config = Config(signature_version=signature, s3={"addressing_style": "path"}, retries={"max_attempts": 1}, max_pool_connections=32)
    c = boto3.client("s3", endpoint_url=endpoint, config=config)
    c.meta.events.register("before-sign.s3", sign_once)
    return c


def sign_once(request, **_):
    """Some releases (1.26) sign "?uploads" twice by version 2, which no server can take."""
    if request.auth_path:
        request.auth_path = request.auth_path.partition("?")[0]


def refused(code, call, **arguments):
    """Calls what must be refused with the code."""
    try:
        call(**arguments)
    except ClientError as e:
        if e.response["Error"]["Code"] == code:
            return
        raise
    raise AssertionError(f"{arguments} was not refused with {code}")


def body(c, bucket, key, **more):
    return c.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def objects(first, all_, bucket):
    data = os.urandom(300_000)
    key = "a/key + with %41 & grüße/日本語"
    put = first.put_object(Bucket=bucket, Key=key, Body=data, ContentType="text/x-test", Metadata={"color": "blue"})
    first.put_object(Bucket=bucket, Key="empty", Body=b"")
    for c in all_:
        got = c.get_object(Bucket=bucket, Key=key)
        assert got["Body"].read() == data and got["ETag"] == put["ETag"]
        assert got["ContentType"] == "text/x-test" and got["Metadata"] == {"color": "blue"}
        assert body(c, bucket, key, Range="bytes=1000-1999") == data[1000:2000]
        assert body(c, bucket, key, Range="bytes=-7") == data[-7:]
        assert body(c, bucket, "empty") == b""
        refused("NoSuchKey", c.get_object, Bucket=bucket, Key="none")
        refused("NoSuchBucket", c.get_object, Bucket=bucket + "-none", Key="none")


def parts(first, all_, bucket, megabytes):
    data = os.urandom(megabytes * MIB + 12345)
    first.upload_fileobj(io.BytesIO(data), bucket, "large", Config=PARTS)
    for c in all_:
        assert c.head_object(Bucket=bucket, Key="large")["ETag"].rstrip('"').endswith(f"-{len(data) // (5 * MIB) + 1}")
        back = io.BytesIO()
        c.download_fileobj(bucket, "large", back, Config=PARTS)
        assert back.getvalue() == data
    # One upload, its parts through different endpoints, one of them by copying.
    upload = first.create_multipart_upload(Bucket=bucket, Key="byhand")["UploadId"]
    tags = []
    for n in range(3):
        c = all_[n % len(all_)]
        if n == 1:
            copied = c.upload_part_copy(
                Bucket=bucket, Key="byhand", UploadId=upload, PartNumber=n + 1,
                CopySource={"Bucket": bucket, "Key": "large"}, CopySourceRange=f"bytes={5 * MIB}-{10 * MIB - 1}")
            tags.append(copied["CopyPartResult"]["ETag"])
        else:
            sent = c.upload_part(Bucket=bucket, Key="byhand", UploadId=upload, PartNumber=n + 1, Body=data[n * 5 * MIB:(n + 1) * 5 * MIB])
            tags.append(sent["ETag"])
    for c in all_:
        assert [p["ETag"] for p in c.list_parts(Bucket=bucket, Key="byhand", UploadId=upload)["Parts"]] == tags
        assert [u["UploadId"] for u in c.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    all_[-1].complete_multipart_upload(
        Bucket=bucket, Key="byhand", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": n + 1, "ETag": t} for n, t in enumerate(tags)]})
    for c in all_:
        assert body(c, bucket, "byhand") == data[:15 * MIB]
        assert "Uploads" not in c.list_multipart_uploads(Bucket=bucket)
    gone = first.create_multipart_upload(Bucket=bucket, Key="gone")["UploadId"]
    all_[-1].abort_multipart_upload(Bucket=bucket, Key="gone", UploadId=gone)
    refused("NoSuchUpload", first.list_parts, Bucket=bucket, Key="gone", UploadId=gone)


def lists(first, all_, bucket):
    keys = [f"list/{d}/{n:02}" for d in "abc" for n in range(20)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: first.put_object(Bucket=bucket, Key=k, Body=k.encode()), keys))
    for c in all_:
        for name in ("list_objects", "list_objects_v2"):
            pages = c.get_paginator(name)
            found = [o["Key"] for p in pages.paginate(Bucket=bucket, Prefix="list/", PaginationConfig={"PageSize": 7}) for o in p["Contents"]]
            assert found == keys, (name, found)
            folders = [f["Prefix"] for p in pages.paginate(Bucket=bucket, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": 1})
                       for f in p.get("CommonPrefixes", [])]
            assert folders == ["list/a/", "list/b/", "list/c/"], (name, folders)
        assert bucket in [b["Name"] for b in c.list_buckets()["Buckets"]]


def copies(first, all_, bucket):
    first.put_object(Bucket=bucket, Key="from", Body=b"copied", Metadata={"color": "red"})
    first.copy_object(Bucket=bucket, Key="kept", CopySource={"Bucket": bucket, "Key": "from"})
    first.copy_object(Bucket=bucket, Key="replaced", CopySource={"Bucket": bucket, "Key": "from"}, MetadataDirective="REPLACE", Metadata={"color": "green"})
    first.copy({"Bucket": bucket, "Key": "large"}, bucket, "largecopy", Config=PARTS)  # part by part
    for c in all_:
        for key, color in (("kept", "red"), ("replaced", "green")):
            got = c.get_object(Bucket=bucket, Key=key)
            assert got["Body"].read() == b"copied" and got["Metadata"] == {"color": color}
        assert body(c, bucket, "largecopy") == body(c, bucket, "large")


def only_if_new(c):
    """A put that must not replace anything, also by releases that do not know the argument."""
    known = "IfNoneMatch" in c.meta.service_model.operation_model("PutObject").input_shape.members
    if not known:
        c.meta.events.register("before-call.s3.PutObject", lambda params, **_: params["headers"].__setitem__("If-None-Match", "*"))
    return lambda **arguments: c.put_object(**arguments, **({"IfNoneMatch": "*"} if known else {}))


def races(endpoints, signature, all_, bucket, rounds=10, writers=16):
    """Of the writers of one new key, on whichever endpoints, exactly one wins."""
    puts = [only_if_new(client(e, signature)) for e in endpoints]

    def write(n, key):
        try:
            puts[n % len(puts)](Bucket=bucket, Key=key, Body=b"%d" % n)
            return n
        except ClientError as e:
            if e.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise
            return None

    with concurrent.futures.ThreadPoolExecutor(writers) as pool:
        for r in range(rounds):
            key = f"race/{r}"
            winners = [w for w in pool.map(write, range(writers), [key] * writers) if w is not None]
            assert len(winners) == 1, f"round {r}: winners {winners}"
            for c in all_:
                assert body(c, bucket, key) == b"%d" % winners[0]


def presigned(all_, bucket):
    for n, c in enumerate(all_):
        url = c.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": f"presigned{n}"}, ExpiresIn=60)
        urllib.request.urlopen(urllib.request.Request(url, data=b"by its address", method="PUT", headers={"Content-Type": ""})).close()
        for other in all_:
            url = other.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": f"presigned{n}"}, ExpiresIn=60)
            with urllib.request.urlopen(url) as answer:
                assert answer.read() == b"by its address"
            try:
                urllib.request.urlopen(url.replace("presigned", "presigneD", 1))
            except urllib.error.HTTPError as e:
                assert e.code == 403, e.code
            else:
                raise AssertionError("a changed address was taken")


def form(fields, content):
    """A browser's form: its bytes and their type."""
    boundary = "----" + os.urandom(12).hex()
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'.encode() + content)
    parts.append(f"\r\n--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def posted(url, fields, content):
    """The status of the answer to a form."""
    data, kind = form(fields, content)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers={"Content-Type": kind})) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def forms(all_, bucket):
    for n, c in enumerate(all_):
        post = c.generate_presigned_post(
            bucket, f"form{n}/${{filename}}", Fields={"acl": "private", "x-amz-meta-color": "blue"},
            Conditions=[{"acl": "private"}, ["starts-with", "$x-amz-meta-color", "b"], ["content-length-range", 1, 4 * MIB]], ExpiresIn=60)
        content = os.urandom(3 * MIB)
        assert posted(post["url"], post["fields"], content) == 204
        for other in all_:
            got = other.get_object(Bucket=bucket, Key=f"form{n}/a.bin")
            assert got["Body"].read() == content and got["Metadata"] == {"color": "blue"}
        assert posted(post["url"], post["fields"], bytes(4 * MIB + 1)) == 400
        assert posted(post["url"], post["fields"], b"") == 400
        assert posted(post["url"], {**post["fields"], "x-amz-meta-color": "red"}, content) == 403
        assert posted(post["url"], {**post["fields"], "key": "elsewhere"}, content) == 403
        assert body(all_[-1], bucket, f"form{n}/a.bin") == content


def deletes(first, all_, bucket):
    keys = [o["Key"] for p in first.get_paginator("list_objects_v2").paginate(Bucket=bucket) for o in p["Contents"]]
    refused("BucketNotEmpty", first.delete_bucket, Bucket=bucket)
    first.delete_object(Bucket=bucket, Key=keys[0])
    answer = all_[-1].delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys]})
    assert len(answer["Deleted"]) == len(keys) and "Errors" not in answer
    for c in all_:
        assert c.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
        refused("NoSuchKey", c.get_object, Bucket=bucket, Key=keys[-1])
    all_[-1].delete_bucket(Bucket=bucket)
    for c in all_:
        refused("NoSuchBucket", c.list_objects_v2, Bucket=bucket)


def main(signature, bucket, megabytes, *endpoints):
    all_ = [client(e, signature) for e in endpoints]
    first = all_[0]
    first.create_bucket(Bucket=bucket)
    objects(first, all_, bucket)
    parts(first, all_, bucket, int(megabytes))
    lists(first, all_, bucket)
    copies(first, all_, bucket)
    races(endpoints, signature, all_, bucket)
    presigned(all_, bucket)
    forms(all_, bucket)
    deletes(first, all_, bucket)


main(*sys.argv[1:])
