package sig

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// stream is a raw aws-chunked body and the identity it was signed for.
type stream struct {
	id   Identity
	body string
}

func pattern(n int) string { return strings.Repeat("0123456789abcdef", n/16+1)[:n] }

func testSeed() *chunkSeed {
	return &chunkSeed{
		key:  deriveKey(NewSecret(exampleSecret), "20130524", "us-east-1", "s3"),
		time: "20130524T000000Z", scope: "20130524/us-east-1/s3/aws4_request",
		signature: strings.Repeat("ab", 32),
	}
}

// newStream encodes data in chunks of the given sizes; a trailer follows except in
// PayloadStreamSigned.
func newStream(kind PayloadKind, data string, sizes ...int) stream {
	return newStreamFrom(testSeed(), kind, data, sizes...)
}

func newStreamFrom(seed *chunkSeed, kind PayloadKind, data string, sizes ...int) stream {
	s := stream{id: Identity{Payload: kind, DecodedLength: int64(len(data))}}
	e := &encoder{stream: Stream{Kind: kind}}
	if kind != PayloadStreamUnsignedTrailer {
		s.id.chunks = seed
		e.chain = newChain(s.id.chunks)
	}
	if kind != PayloadStreamSigned {
		s.id.trailer = "x-amz-checksum-crc32"
		e.stream.Trailer, e.stream.Checksum = s.id.trailer, func() string { return "AAAAAA==" }
	}
	for _, n := range sizes {
		e.header([]byte(data[:n]))
		e.out = append(append(e.out, data[:n]...), '\r', '\n')
		data = data[n:]
	}
	if err := e.encode(); err != nil {
		panic(err)
	}
	s.body = string(e.out)
	return s
}

// read decodes a body for the stream's identity.
func (s stream) read(body string) (string, http.Header, error) {
	id := s.id
	b, err := id.Body(&http.Request{Body: io.NopCloser(strings.NewReader(body))})
	if err != nil {
		return "", nil, err
	}
	got, err := io.ReadAll(b)
	return string(got), b.Trailer(), err
}

var allKinds = []PayloadKind{PayloadStreamSigned, PayloadStreamSignedTrailer, PayloadStreamUnsignedTrailer}

func TestStreams(t *testing.T) {
	for _, kind := range allKinds {
		for _, sizes := range [][]int{nil, {1}, {8191}, {8192}, {8192, 1}, {8192, 8192, 100}, {100_000, 8192, 1}} {
			n := 0
			for _, size := range sizes {
				n += size
			}
			s := newStream(kind, pattern(n), sizes...)
			for _, wrap := range []func(io.Reader) io.Reader{
				func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
			} {
				id := s.id
				b, err := id.Body(&http.Request{Body: io.NopCloser(wrap(strings.NewReader(s.body)))})
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(b)
				if err != nil || string(got) != pattern(n) {
					t.Fatalf("%v %v: %d bytes, %v", kind, sizes, len(got), err)
				}
				if s.id.trailer != "" && b.Trailer().Get(s.id.trailer) != "AAAAAA==" {
					t.Fatalf("%v %v: trailer %v", kind, sizes, b.Trailer())
				}
				if _, err := b.Read(make([]byte, 1)); err != io.EOF {
					t.Fatalf("after the end: %v", err)
				}
			}
		}
	}
}

// Every byte of a framed body is changed, dropped and doubled. A signed stream is
// refused or gives the same bytes; an unsigned one may give other bytes of the same
// length, which its checksum is for.
func TestEveryChangedByteOfAStream(t *testing.T) {
	for _, kind := range allKinds {
		data := pattern(8192 + 40)
		s := newStream(kind, data, 8192, 40)
		codes := map[string]int{}
		for i := range len(s.body) {
			if inData := i > 200 && i < 8100; inData && i%61 != 0 {
				continue
			}
			for _, with := range []string{string(s.body[i] ^ 1), string(s.body[i] ^ 0x20), "", s.body[i:i+1] + s.body[i:i+1], "\r\n"} {
				mutant := s.body[:i] + with + s.body[i+1:]
				if mutant == s.body {
					continue
				}
				got, trailer, err := s.read(mutant)
				var e *Error
				switch {
				case errors.As(err, &e):
					codes[e.Code]++
				case err != nil:
					t.Fatalf("%v at %d: %v is no *Error", kind, i, err)
				case kind != PayloadStreamUnsignedTrailer && (got != data || trailer.Get(s.id.trailer) != value(s.id.trailer)):
					t.Fatalf("%v at %d with %q: accepted", kind, i, with)
				case len(got) != len(data) || len(trailer) > 1:
					t.Fatalf("%v at %d with %q: %d bytes, %v", kind, i, with, len(got), trailer)
				default:
					codes["accepted"]++
				}
			}
		}
		signed := kind != PayloadStreamUnsignedTrailer
		if signed && codes[CodeSignatureDoesNotMatch] < 300 || codes[CodeIncompleteBody] == 0 || signed && codes["accepted"] > 60 { // names of headers in another case
			t.Errorf("%v: %v", kind, codes)
		}
	}
}

func value(trailer string) string {
	if trailer == "" {
		return ""
	}
	return "AAAAAA=="
}

// Every prefix of a framed body is refused, and so is every longer one.
func TestCutStreams(t *testing.T) {
	for _, kind := range allKinds {
		s := newStream(kind, pattern(8192+40), 8192, 40)
		for n := range len(s.body) {
			if n > 200 && n < 8100 && n%97 != 0 {
				continue
			}
			got, _, err := s.read(s.body[:n])
			wantCode(t, err, CodeIncompleteBody)
			if int64(len(got)) >= s.id.DecodedLength {
				t.Fatalf("%v cut at %d: the last byte was handed out", kind, n)
			}
		}
		for _, more := range []string{"\r\n", "x", "0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"} {
			_, _, err := s.read(s.body + more)
			wantCode(t, err, CodeIncompleteBody)
			id := s.id // the same, arriving late
			b, err := id.Body(&http.Request{Body: io.NopCloser(iotest.OneByteReader(strings.NewReader(s.body + more)))})
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(b)
			wantCode(t, err, CodeIncompleteBody)
		}
	}
}

func TestChunkAttacks(t *testing.T) {
	data := pattern(3 * 8192)
	s := newStream(PayloadStreamSigned, data, 8192, 8192, 8192)
	const head = len("2000") + len(chunkSignature) + 64 + 2
	const whole = head + 8192 + 2
	first, second, third, last := s.body[:whole], s.body[whole:2*whole], s.body[2*whole:3*whole], s.body[3*whole:]
	seed := testSeed()
	seed.signature = strings.Repeat("cd", 32)
	other := newStreamFrom(seed, PayloadStreamSigned, data, 8192, 8192, 8192).body
	wrong := func(chunk string) string {
		i := strings.IndexByte(chunk, '=') + 1
		return chunk[:i] + strings.Repeat("0", 64) + chunk[i+64:]
	}
	for name, body := range map[string]string{
		"S-B4 first signature":          wrong(first) + second + third + last,
		"S-B4 middle signature":         first + wrong(second) + third + last,
		"S-B4 last signature":           first + second + wrong(third) + last,
		"S-B4 final signature":          first + second + third + wrong(last),
		"S-B4 swapped":                  second + first + third + last,
		"S-B4 repeated":                 first + first + third + last,
		"S-B4 chunk of another request": other[:whole] + second + third + last,
		"S-B4 body of another request":  other,
		"S-B4 dropped":                  first + third + last,
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := s.read(body)
			wantCode(t, err, CodeSignatureDoesNotMatch)
			if len(got) >= len(data) {
				t.Fatal("the whole body was handed out")
			}
		})
	}
	_, _, err := s.read(first + second + last)
	wantCode(t, err, CodeIncompleteBody)
}

func TestTrailerAttacks(t *testing.T) {
	signed := newStream(PayloadStreamSignedTrailer, "hello", 5)
	unsignedStream := newStream(PayloadStreamUnsignedTrailer, "hello", 5)
	const field = "x-amz-checksum-crc32:AAAAAA==\r\n"
	i := strings.Index(signed.body, trailerSignature)
	for _, c := range []struct {
		name, old, with string
		s               stream
		code            string
	}{
		{"S-B6 signature wrong", signed.body[i:], trailerSignature + ":" + strings.Repeat("0", 64) + "\r\n\r\n", signed, CodeSignatureDoesNotMatch},
		{"S-B6 signature short", signed.body[i:], trailerSignature + ":00\r\n\r\n", signed, CodeSignatureDoesNotMatch},
		{"S-B6 signature empty", signed.body[i:], trailerSignature + ":\r\n\r\n", signed, CodeSignatureDoesNotMatch},
		{"S-B6 signature missing", signed.body[i:], "\r\n", signed, CodeMalformedTrailer},
		{"S-B6 signature twice", signed.body[i:], signed.body[i:len(signed.body)-2] + signed.body[i:], signed, CodeMalformedTrailer},
		{"S-B6 value changed", "AAAAAA==", "AAAAAQ==", signed, CodeSignatureDoesNotMatch},
		{"S-B6 value empty", field, "x-amz-checksum-crc32:\r\n", signed, CodeMalformedTrailer},
		{"S-B6 other name", "crc32:", "sha1:", signed, CodeMalformedTrailer},
		{"S-B6 missing", field, "", signed, CodeMalformedTrailer},
		{"S-B6 two", field, field + field, signed, CodeMalformedTrailer},
		{"S-B6 two, unsigned", field, field + field, unsignedStream, CodeMalformedTrailer},
		{"S-B6 extra, unsigned", field, field + "x-amz-meta-a:b\r\n", unsignedStream, CodeMalformedTrailer},
		{"S-B6 missing, unsigned", field, "", unsignedStream, CodeMalformedTrailer},
		{"S-B6 other name, unsigned", "crc32:", "sha256:", unsignedStream, CodeMalformedTrailer},
		{"S-B6 no colon", "crc32:", "crc32=", unsignedStream, CodeMalformedTrailer},
		{"S-B6 no name", "x-amz-checksum-crc32:", ":", unsignedStream, CodeMalformedTrailer},
		{"S-B6 signature where none belongs", field, field + trailerSignature + ":" + strings.Repeat("0", 64) + "\r\n", unsignedStream, CodeMalformedTrailer},
		{"S-B7 endless line", field, "x-amz-checksum-crc32:" + strings.Repeat("A", 1<<20) + "\r\n", unsignedStream, CodeIncompleteBody},
		{"S-B7 bare line feed", field, "x-amz-checksum-crc32:AAAAAA==\n", unsignedStream, CodeIncompleteBody},
	} {
		t.Run(c.name, func(t *testing.T) {
			mutant := strings.Replace(c.s.body, c.old, c.with, 1)
			if mutant == c.s.body {
				t.Fatal("nothing changed")
			}
			got, trailer, err := c.s.read(mutant)
			wantCode(t, err, c.code)
			if len(got) == 5 || trailer != nil {
				t.Fatalf("%q %v", got, trailer)
			}
		})
	}
	// Declared or not: nothing but what was declared.
	undeclared := unsignedStream
	undeclared.id.trailer = ""
	_, _, err := undeclared.read(unsignedStream.body)
	wantCode(t, err, CodeMalformedTrailer)
	if got, trailer, err := undeclared.read("5\r\nhello\r\n0\r\n\r\n"); got != "hello" || trailer != nil || err != nil {
		t.Fatalf("%q %v %v", got, trailer, err)
	}
}

func TestFramingAttacks(t *testing.T) {
	s := stream{id: Identity{Payload: PayloadStreamUnsignedTrailer, DecodedLength: 5}}
	for body, code := range map[string]string{
		"5\r\nhello\r\n0\r\n\r\n":                              "",
		"05\r\nhello\r\n00\r\n\r\n":                            "",
		"0000000000000005\r\nhello\r\n0\r\n\r\n":               "",
		"00000000000000005\r\nhello\r\n0\r\n\r\n":              CodeIncompleteBody, // 17 digits
		"6\r\nhello!\r\n0\r\n\r\n":                             CodeIncompleteBody,
		"4\r\nhell\r\n0\r\n\r\n":                               CodeIncompleteBody,
		"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n":                    CodeIncompleteBody,
		"7fffffffffffffff\r\nhello\r\n0\r\n\r\n":               CodeIncompleteBody,
		"8000000000000000\r\nhello\r\n0\r\n\r\n":               CodeIncompleteBody,
		"ffffffffffffffff\r\nhello\r\n0\r\n\r\n":               CodeIncompleteBody,
		"10000000000000005\r\nhello\r\n0\r\n\r\n":              CodeIncompleteBody,
		strings.Repeat("0", 1<<20) + "5\r\nhello\r\n0\r\n\r\n": CodeIncompleteBody,
		"\r\nhello\r\n0\r\n\r\n":                               CodeIncompleteBody,
		"-5\r\nhello\r\n0\r\n\r\n":                             CodeIncompleteBody,
		"+5\r\nhello\r\n0\r\n\r\n":                             CodeIncompleteBody,
		"0x5\r\nhello\r\n0\r\n\r\n":                            CodeIncompleteBody,
		"5 \r\nhello\r\n0\r\n\r\n":                             CodeIncompleteBody,
		"5;a=b\r\nhello\r\n0\r\n\r\n":                          CodeIncompleteBody, // no extensions
		"5;chunk-signature=0\r\nhello\r\n0\r\n\r\n":            CodeIncompleteBody,
		"5\nhello\r\n0\r\n\r\n":                                CodeIncompleteBody,
		"5\rhello\r\n0\r\n\r\n":                                CodeIncompleteBody,
		"5\r\nhello0\r\n\r\n":                                  CodeIncompleteBody,
		"5\r\nhelloxx0\r\n\r\n":                                CodeIncompleteBody,
		"5\r\nhello\r\n0\r\n":                                  CodeIncompleteBody,
		"5\r\nhello\r\n":                                       CodeIncompleteBody,
		"0\r\n\r\n":                                            CodeIncompleteBody,
		"":                                                     CodeIncompleteBody,
		"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n":                     CodeInvalidChunkSize,
	} {
		got, _, err := s.read(body)
		if code == "" {
			if err != nil || got != "hello" {
				t.Errorf("%.60q: %q %v", body, got, err)
			}
			continue
		}
		if e := wantCode(t, err, code); len(got) == 5 {
			t.Errorf("%.60q: handed out, then %v", body, e)
		}
	}
}

// Only the last chunk with data may be short.
func TestShortChunks(t *testing.T) {
	for _, kind := range allKinds {
		for _, c := range []struct {
			sizes []int
			ok    bool
		}{
			{[]int{8192, 8192, 100}, true}, {[]int{100}, true}, {[]int{8191, 1}, false}, {[]int{8192, 10, 100}, false},
			{[]int{10, 8192}, false}, {[]int{10000, 10, 8192}, false},
		} {
			n := 0
			for _, size := range c.sizes {
				n += size
			}
			s := newStream(kind, pattern(n), c.sizes...)
			_, _, err := s.read(s.body)
			if c.ok {
				if err != nil {
					t.Fatalf("%v %v: %v", kind, c.sizes, err)
				}
				continue
			}
			e := wantCode(t, err, CodeInvalidChunkSize)
			if e.Message != "Only the last chunk is allowed to have a size less than 8192 bytes" || len(e.Detail) != 2 {
				t.Fatal(e)
			}
		}
	}
}

func BenchmarkChunks(b *testing.B) {
	for _, kind := range allKinds {
		b.Run(kind.String(), func(b *testing.B) {
			sizes := make([]int, 64)
			for i := range sizes {
				sizes[i] = 64 << 10
			}
			s := newStream(kind, pattern(4<<20), sizes...)
			buf := make([]byte, 1<<20)
			b.SetBytes(4 << 20)
			b.ReportAllocs()
			for b.Loop() {
				id := s.id
				body, _ := id.Body(&http.Request{Body: io.NopCloser(strings.NewReader(s.body))})
				for {
					if _, err := io.ReadFull(body, buf); err != nil {
						if err != io.EOF {
							b.Fatal(err)
						}
						break
					}
				}
			}
		})
	}
}
