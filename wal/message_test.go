package wal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ironman/wal/event"
)

// TestMessageGolden pins the bytes that nodes of different releases exchange.
func TestMessageGolden(t *testing.T) {
	at := point{applied: 7, term: 3, index: 9}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"propose": {request{kindPropose, []byte("proposal")}.encode(), "0101" + hex.EncodeToString([]byte("proposal"))},
		"point":   {request{kindPoint, []byte{0, 0, 0, 0, 0, 0, 0, 5}}.encode(), "0102" + "0000000000000005"},
		"status":  {request{kind: kindStatus}.encode(), "0103"},
		"add":     {request{kindAdd, []byte("node-4")}.encode(), "01046e6f64652d34"},
		"remove":  {request{kindRemove, []byte("node-4")}.encode(), "01056e6f64652d34"},
		"records": {request{kindRecords, []byte("request")}.encode(), "0106" + hex.EncodeToString([]byte("request"))},
		"entry":   {request{kindEntry, []byte{0, 0, 0, 0, 0, 0, 0, 9}}.encode(), "0107" + "0000000000000009"},
		"done":    {answerOf(appendPoint(nil, at), nil).encode(), "0100" + "0000000000000007" + "0000000000000003" + "0000000000000009"},
		"stamped": {
			stamped{at: at, applied: Applied{Seq: 2, Duplicate: true, Outcome: &event.Outcome{Time: 1}}}.encode(),
			"0000000000000007" + "0000000000000003" + "0000000000000009" + "0000000000000002" + "01" + hex.EncodeToString(event.Canonical(&event.Outcome{Time: 1})),
		},
		"state":      {nodeStatus{term: 5, applied: 6}.encode(), "0000000000000005" + "0000000000000006"},
		"not done":   {answerOf(nil, ErrNotDone).encode(), "0101" + hex.EncodeToString([]byte(ErrNotDone.Error()))},
		"no leader":  {answerOf(nil, ErrNoLeader).encode(), "0101" + hex.EncodeToString([]byte(ErrNoLeader.Error()))},
		"unknown":    {answerOf(nil, ErrUnknown).encode(), "0102" + hex.EncodeToString([]byte(ErrUnknown.Error()))},
		"overloaded": {answerOf(nil, ErrOverloaded).encode(), "0103" + hex.EncodeToString([]byte(ErrOverloaded.Error()))},
		"refused":    {answerOf(nil, ErrRefused).encode(), "0104" + hex.EncodeToString([]byte(ErrRefused.Error()))},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestMessageErrors: what a peer sends is refused before it is used, and what is
// newer is told from what is wrong.
func TestMessageErrors(t *testing.T) {
	id := strings.Repeat("n", maxIDBytes)
	for _, c := range []struct {
		b    string
		want error
	}{
		{"", event.ErrMalformed}, {"\x01", event.ErrMalformed}, {"\x00\x01x", event.ErrMalformed},
		{"\x02\x01x", event.ErrNewer}, {"\x01\x08", event.ErrNewer}, {"\x01\xff", event.ErrNewer},
		{"\x01\x00", event.ErrMalformed}, {"\x01\x01", event.ErrMalformed},
		{"\x01\x01" + strings.Repeat("p", maxRequestBody), nil}, {"\x01\x01" + strings.Repeat("p", maxRequestBody+1), event.ErrMalformed},
		{"\x01\x02" + "1234567", event.ErrMalformed}, {"\x01\x02" + "12345678", nil}, {"\x01\x02" + "123456789", event.ErrMalformed},
		{"\x01\x03", nil}, {"\x01\x03x", event.ErrMalformed},
		{"\x01\x04" + id, nil}, {"\x01\x04" + id + "n", event.ErrMalformed}, {"\x01\x04", event.ErrMalformed},
		{"\x01\x07" + "1234567", event.ErrMalformed}, {"\x01\x07" + "12345678", nil}, {"\x01\x07" + "123456789", event.ErrMalformed},
		{"\x01\x06", event.ErrMalformed}, {"\x01\x06r", nil}, {"\x01\x06" + id + "n", event.ErrMalformed},
		{"\x01\x05node 1", event.ErrMalformed}, {"\x01\x05n\xf8", event.ErrMalformed}, {"\x01\x05n\n", event.ErrMalformed},
	} {
		if _, err := decodeRequest([]byte(c.b)); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("request %.20q is %v", c.b, err)
		}
	}
	for _, c := range []struct {
		b    string
		want error
	}{
		{"", event.ErrMalformed}, {"\x00\x00", event.ErrMalformed}, {"\x02\x00", event.ErrNewer}, {"\x01\x05", event.ErrNewer},
		{"\x01\x00", nil}, {"\x01\x00" + strings.Repeat("p", maxAnswerBody), nil}, {"\x01\x00" + strings.Repeat("p", maxAnswerBody+1), event.ErrMalformed},
		{"\x01\x01" + strings.Repeat("p", maxTextBytes), nil}, {"\x01\x01" + strings.Repeat("p", maxTextBytes+1), event.ErrMalformed},
		{"\x01\x04\xff", event.ErrMalformed},
	} {
		if _, err := decodeAnswer([]byte(c.b)); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("answer %.20q is %v", c.b, err)
		}
	}
}

// TestAnswerErrors: what an error is on one node it is on the other.
func TestAnswerErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		is   []error
		isnt []error
	}{
		{ErrNotDone, []error{ErrNotDone}, []error{ErrUnknown, ErrOverloaded, ErrRefused}},
		{ErrNoLeader, []error{ErrNotDone}, []error{ErrUnknown, ErrOverloaded, ErrRefused}},
		{errors.Join(ErrNotDone, ErrClosed), []error{ErrNotDone}, []error{ErrUnknown, ErrOverloaded, ErrRefused}},
		{errors.Join(ErrNotDone, ErrOverloaded), []error{ErrNotDone, ErrOverloaded}, []error{ErrUnknown, ErrRefused}},
		{errors.Join(ErrNotDone, ErrRefused), []error{ErrNotDone, ErrRefused}, []error{ErrUnknown, ErrOverloaded}},
		{fmt.Errorf("kind: %w", event.ErrNewer), []error{ErrNotDone, ErrRefused}, []error{ErrUnknown, ErrOverloaded}},
		{errors.Join(ErrUnknown, ErrNotDone), []error{ErrUnknown}, []error{ErrNotDone}},
		{errors.New("anything else " + strings.Repeat("é", maxTextBytes)), []error{ErrUnknown}, []error{ErrNotDone}},
		{errors.New("\xff"), []error{ErrUnknown}, []error{ErrNotDone}},
	} {
		a, err := decodeAnswer(answerOf(nil, c.err).encode())
		if err != nil {
			t.Errorf("%.30q: %v", c.err, err)
			continue
		}
		got := a.err()
		for _, is := range c.is {
			if !errors.Is(got, is) {
				t.Errorf("%.30q is not %v", c.err, is)
			}
		}
		for _, isnt := range c.isnt {
			if errors.Is(got, isnt) {
				t.Errorf("%.30q is %v", c.err, isnt)
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(request{kindPropose, []byte("proposal")}.encode())
	f.Add(request{kindPoint, make([]byte, 8)}.encode())
	f.Add(request{kind: kindStatus}.encode())
	f.Add(request{kindAdd, []byte("node-4")}.encode())
	f.Add(request{kindEntry, make([]byte, 8)}.encode())
	f.Add(answerOf(stamped{applied: Applied{Outcome: &event.Outcome{Time: 1}}}.encode(), nil).encode())
	f.Add(answerOf(appendPoint(nil, point{applied: 1}), nil).encode())
	f.Add(answerOf(nil, ErrOverloaded).encode())
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRequest(b); err == nil && !bytes.Equal(r.encode(), b) {
			t.Errorf("request %x does not round trip", b)
		}
		a, err := decodeAnswer(b)
		if err != nil {
			return
		}
		if !bytes.Equal(a.encode(), b) {
			t.Errorf("answer %x does not round trip", b)
		}
		if p, err := decodePoint(a.body); err == nil && !bytes.Equal(appendPoint(nil, p), a.body) {
			t.Errorf("point %x does not round trip", a.body)
		}
		if s, err := decodeStatus(a.body); err == nil && !bytes.Equal(s.encode(), a.body) {
			t.Errorf("status %x does not round trip", a.body)
		}
		if s, err := decodeStamped(a.body); err == nil {
			if again, err := decodeStamped(s.encode()); err != nil || again.at != s.at || again.applied.Seq != s.applied.Seq {
				t.Errorf("stamped %x does not round trip: %v", a.body, err)
			}
		}
	})
}
