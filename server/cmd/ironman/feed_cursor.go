package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ironman/server"
	"ironman/server/audit"
)

// A cursor is moved when so many events were printed behind it, or when it was last moved
// so long ago: a move is an event itself.
const (
	cursorEvents = 100
	cursorEvery  = 5 * time.Second
)

// cursorKeeper prints events, and moves a cursor behind what was printed.
type cursorKeeper struct {
	*feedSource
	name    string // "": there is none
	printer *entryPrinter
	at      uint64 // where the cursor stands
	next    uint64 // what is below was printed, or passed by a filter
	printed int    // since it was moved
	moved   time.Time
}

// begin has a reading begin where the cursor stands, if there is one.
func (k *cursorKeeper) begin(ctx context.Context, q url.Values) error {
	if k.moved = time.Now(); k.name == "" {
		return nil
	}
	c, err := k.cursor(ctx, k.name)
	if err != nil || c == nil {
		return err
	}
	k.at, k.next = c.Next, c.Next
	q.Set("from", strconv.FormatUint(c.Next, 10))
	return nil
}

// print prints an event.
func (k *cursorKeeper) print(e *audit.Entry) error {
	if err := k.printer.print(e); err != nil {
		return err
	}
	k.next = e.Seq + 1
	if e.Kind == "cursor_set" || e.Kind == "cursor_deleted" { // such as this makes: there would be no end
		return nil
	}
	if k.printed++; k.printed < cursorEvents && time.Since(k.moved) < cursorEvery {
		return nil
	}
	return k.move(context.Background())
}

// quiet is told that nothing is there to be printed, and which event was the last that is past.
func (k *cursorKeeper) quiet(ctx context.Context, last string) error {
	if seq, err := strconv.ParseUint(last, 10, 64); err == nil {
		k.next = max(k.next, seq+1)
	}
	// What was only passed is no reason for an event of its own: that would be passed, too.
	if k.printed == 0 || time.Since(k.moved) < cursorEvery {
		return nil
	}
	return k.move(ctx)
}

// end moves the cursor a last time, also when ctx has ended.
func (k *cursorKeeper) end(ctx context.Context) error { return k.move(context.WithoutCancel(ctx)) }

func (k *cursorKeeper) move(ctx context.Context) error {
	if k.name == "" || k.next <= k.at {
		return nil
	}
	if err := k.printer.end(); err != nil { // what is not printed yet is not behind it
		return err
	}
	if err := k.moveCursor(ctx, k.name, k.at, k.next); err != nil {
		return err
	}
	k.at, k.printed, k.moved = k.next, 0, time.Now()
	return nil
}

// askCursor asks about a cursor until a node answers; nil if there is none.
func (s *feedSource) askCursor(ctx context.Context, method, name string, q url.Values) ([]byte, error) {
	path, q := s.cursorAt(name, q)
	for failures := 0; ; {
		b, err := s.askOnce(ctx, method, path, q)
		if err == nil || final(err) || ctx.Err() != nil {
			return b, err
		}
		if failures++; failures >= feedRounds*len(s.addresses) || s.rest(ctx, failures) != nil {
			return nil, err
		}
	}
}

func (s *feedSource) askOnce(ctx context.Context, method, path string, q url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, feedAnswer)
	defer cancel()
	resp, err := s.ask(ctx, method, path, q, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, feedLine))
}

// cursor is where a cursor stands; nil if there is none.
func (s *feedSource) cursor(ctx context.Context, name string) (*server.Cursor, error) {
	b, err := s.askCursor(ctx, http.MethodGet, name, url.Values{})
	var status statusError
	if errors.As(err, &status) && status.noCursor() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &server.Cursor{}
	return c, json.Unmarshal(b, c)
}

// moveCursor moves a cursor. An answer that was lost may have been that it was moved.
func (s *feedSource) moveCursor(ctx context.Context, name string, from, to uint64) error {
	_, err := s.askCursor(ctx, http.MethodPut, name, url.Values{"from": {strconv.FormatUint(from, 10)}, "to": {strconv.FormatUint(to, 10)}})
	var status statusError
	if errors.As(err, &status) && status.code == http.StatusConflict {
		c, askErr := s.cursor(ctx, name)
		if askErr == nil && c != nil && c.Next == to {
			return nil
		}
		return errors.Join(fmt.Errorf("the cursor %q is not where it was left: does somebody else move it?", name), err, askErr)
	}
	return err
}

// feedCursorsCommand lists and moves cursors.
func feedCursorsCommand() *cobra.Command {
	var source sourceFlags
	c := &cobra.Command{
		Use:   "cursors",
		Short: "List, show, set or delete the cursors of consumers",
		Args:  cobra.NoArgs,
	}
	source.flags(c.PersistentFlags())
	c.PersistentFlags().StringVar(&source.bucket, "bucket", "", "with --endpoint: whose cursors")
	add := func(use, short string, args int, run func(ctx context.Context, s *feedSource, out io.Writer, args []string) error) *cobra.Command {
		x := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(args), RunE: func(c *cobra.Command, args []string) error {
			s, err := source.open()
			if err != nil {
				return err
			}
			return run(c.Context(), s, c.OutOrStdout(), args)
		}}
		c.AddCommand(x)
		return x
	}
	c.RunE = add("list", "List all cursors", 0, listCursors).RunE
	add("show NAME", "Show where a cursor stands", 1, func(ctx context.Context, s *feedSource, out io.Writer, args []string) error {
		c, err := s.cursor(ctx, args[0])
		if err == nil && c == nil {
			err = fmt.Errorf("no cursor %q", args[0])
		}
		if err != nil {
			return err
		}
		return printCursor(out, c)
	})
	add("set NAME SEQ", "Move a cursor to the first event that is not done; also back", 2, setCursor)
	add("delete NAME", "Forget a cursor", 1, func(ctx context.Context, s *feedSource, _ io.Writer, args []string) error {
		_, err := s.askCursor(ctx, http.MethodDelete, args[0], url.Values{})
		return err
	})
	return c
}

func listCursors(ctx context.Context, s *feedSource, out io.Writer, _ []string) error {
	b, err := s.askCursor(ctx, http.MethodGet, "", url.Values{})
	if err != nil {
		return err
	}
	var all []server.Cursor
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for i := range all {
		if err := printCursor(out, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

func printCursor(out io.Writer, c *server.Cursor) error {
	_, err := fmt.Fprintf(out, "%-12d  %-24s  %s\n", c.Next, c.Time.Format(time.RFC3339), quoted(c.Name))
	return err
}

// setCursor moves a cursor from wherever it stands. Back it only comes by being made anew.
func setCursor(ctx context.Context, s *feedSource, _ io.Writer, args []string) error {
	to, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil || to == 0 {
		return fmt.Errorf("%q is not a sequence from 1 on", args[1])
	}
	c, err := s.cursor(ctx, args[0])
	if err != nil {
		return err
	}
	from := uint64(0)
	switch {
	case c == nil:
	case c.Next == to:
		return nil
	case c.Next < to:
		from = c.Next
	default:
		if _, err := s.askCursor(ctx, http.MethodDelete, args[0], url.Values{}); err != nil {
			return err
		}
	}
	return s.moveCursor(ctx, args[0], from, to)
}
