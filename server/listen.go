package server

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of the HTTP listeners. S3 itself takes 8 KiB of headers, and says so; net/http
// only sees to it that nobody sends without an end, first line and all.
const (
	maxHeaderBytes    = 24 << 10
	headerReadTimeout = 10 * time.Second
	idleTimeout       = 5 * time.Minute
)

// serve answers on every listener until Close.
func (n *Node) serve() {
	for _, l := range n.opts.S3 {
		n.serveOn(l, n.s3)
	}
	if n.opts.Admin != nil {
		n.serveOn(n.opts.Admin, n.adminHandler())
	}
}

func (n *Node) serveOn(l net.Listener, h http.Handler) {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerReadTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(n.opts.Logger.Handler(), slog.LevelDebug),
	}
	if n.opts.TLS != nil {
		l = tls.NewListener(l, n.opts.TLS)
	}
	n.servers = append(n.servers, s)
	n.done.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.opts.Logger.Error("a listener ended", "address", l.Addr(), "err", err)
		}
	})
}
