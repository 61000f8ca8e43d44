package crash

import (
	"context"
	"fmt"
	"sync"
)

const wholeValue = "whole.70000"

// script is what the clients of a run do, from the first start of the node on.
func (p *process) script() error {
	p.ask(200, set("/"+bucket, "bucket"), "PUT", "/"+bucket, nil)
	own := ownRetention
	if _, err := p.node.SetRetention(context.Background(), bucket, &own, false); err != nil {
		p.fail(fmt.Errorf("I12: %w", err))
	}
	p.put(erasedKey, "erased.300")
	p.put(erasedKey, "erased2.40000")
	p.put("small", "small.100")
	p.put("copied", "copied.20000")
	p.put("striped", "striped.700000")
	tag := p.put("swapped", "swapped1.300").header.Get("Etag")
	p.put("small", "small2.3000")
	p.put("gone", "gone.30000")
	p.remove("gone")
	p.remove(erasedKey)
	p.copy("striped", "copy", "striped.700000")
	p.put("once", "once.500", "If-None-Match", "*")
	p.ask(412, set(object("once"), "twice.500"), "PUT", object("once"), body("twice.500"), "If-None-Match", "*", metaHeader, "twice.500")
	p.put("swapped", "swapped2.40000", "If-Match", tag)
	id := p.beginUpload("whole", wholeValue)
	tag = p.putPart("whole", id, wholeValue)
	p.beginUpload("left", "left.1")
	p.complete("whole", id, tag, wholeValue)
	p.fill(0, 70)
	p.put("own", "own.2200000") // shards of more than 1 MiB have packs of their own
	p.packsGo("doomed.150000")
	p.fill(1, 60)
	p.removeSeveral("swapped", "copied", "absent")
	p.during(func() {
		if err := p.node.Snapshot(); err != nil {
			p.fail(err)
		}
	}, func() {
		p.put("during", "during.50000")
		p.put("small", "small3.10")
	})
	return nil
}

// again is what they do after a restart in good order.
func (p *process) again() error {
	p.put("after", "after.90000")
	p.put("small", "small4.100")
	p.fill(2, 10)
	p.remove("own")
	p.put(erasedKey, "erased3.200") // now it is also in the newest files
	p.remove(erasedKey)
	p.erase()
	p.put("last", "last.100")
	return nil
}

// fill makes events, so that there are enough for a bundle of the ledger.
func (p *process) fill(round, n int) {
	for i := range n {
		key := fmt.Sprintf("filler/%d/%03d", round, i)
		if id := p.beginUpload(key, "nothing.0"); i > 2 {
			p.abort(key, id)
		}
	}
}

func (p *process) during(f, g func()) {
	var both sync.WaitGroup
	both.Go(f)
	both.Go(g)
	both.Wait()
}

// packsGo fills some packs, deletes what is in them, and waits until they are gone.
func (p *process) packsGo(value string) {
	var keys []string
	for i := range 6 {
		keys = append(keys, fmt.Sprintf("doomed/%d", i))
		p.put(keys[i], value)
	}
	p.removeSeveral(keys...)
	p.collects()
}
