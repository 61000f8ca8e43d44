package history

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"
)

// TestManyOpen: a verdict does not take a search through all subsets of the changes
// without an answer, also where no order explains the rest.
func TestManyOpen(t *testing.T) {
	var h []Op
	for i := range 40 {
		kind := []string{Put, Create, Delete}[i%3]
		value := fmt.Sprint("open", i)
		if kind == Delete {
			value = ""
		}
		h = append(h, Op{Client: 100 + i, Kind: kind, Key: "k", Value: value, Call: int64(i), Return: Never})
	}
	at := int64(100)
	add := func(o Op) {
		o.Key, o.Call, o.Return = "k", at, at+5
		at += 10
		h = append(h, o)
	}
	for i := range 10 {
		add(Op{Kind: Put, Value: fmt.Sprint("v", i), Status: 200})
		add(Op{Kind: Create, Value: fmt.Sprint("c", i), Status: 412})
		add(Op{Kind: Get, Status: 200, Read: fmt.Sprint("v", i)})
	}
	if v := Judge(h, 20*time.Second); len(v) > 0 {
		t.Error(v[0].Text)
	}
	add(Op{Kind: Get, Status: 200, Read: "v3"}) // which was replaced long before
	if v := Judge(h, 20*time.Second); len(v) == 0 || strings.Contains(v[0].Text, "no verdict") {
		t.Error(v)
	}
}

// TestRank: to try changes without an answer in one order only finds what a search
// without that finds.
func TestRank(t *testing.T) {
	verdicts := make(map[bool]int)
	rapid.Check(t, func(t *rapid.T) {
		var ops []Op
		for i := range rapid.IntRange(1, 9).Draw(t, "requests") {
			o := Op{Client: i, Key: "k", Kind: rapid.SampledFrom([]string{Put, Create, Replace, Delete, Get}).Draw(t, "kind")}
			o.Call = rapid.Int64Range(0, 20).Draw(t, "call")
			o.Return = o.Call + rapid.Int64Range(1, 6).Draw(t, "lasts")
			value := rapid.SampledFrom([]string{"", "0", "1", "2", "3", "4"})
			switch o.Kind {
			case Get:
				o.Status, o.Read = 200, value.Draw(t, "read")
			case Delete:
				o.Status = 204
			default:
				o.Value, o.Status = fmt.Sprint(i), rapid.SampledFrom([]int{200, 412}).Draw(t, "status")
			}
			if o.Kind == Replace {
				o.Match = value.Filter(func(v string) bool { return v != "" }).Draw(t, "match")
			}
			if o.Kind != Get && rapid.Bool().Draw(t, "open") {
				o.Status, o.Return = 0, Never
			}
			ops = append(ops, o)
		}
		var plain []porcupine.Operation
		for i, o := range ops {
			r := ranked{Op: o}
			plain = append(plain, porcupine.Operation{ClientId: i, Input: r, Output: r, Call: o.Call, Return: o.Return})
		}
		want := porcupine.CheckOperations(model, plain)
		verdicts[want]++
		if got := len(Judge(ops, time.Minute)) == 0; got != want {
			t.Fatalf("judged %v, without ranks %v: %+v", got, want, ops)
		}
	})
	if verdicts[true] < 10 || verdicts[false] < 10 {
		t.Errorf("%v: this test shows nothing", verdicts)
	}
}
