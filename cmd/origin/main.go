// Command origin serves the captured Odoo shop of testdata/odoo at Odoo's speed,
// as a stand-in for an Odoo in demonstrations and load tests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/odoocache/odoocache/test/origin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "origin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	var opts origin.Options
	flags := flag.NewFlagSet("origin", flag.ContinueOnError)
	flags.SetOutput(log)
	listen := flags.String("listen", "127.0.0.1:8069", "address to listen on; port 0 picks a free one")
	flags.Float64Var(&opts.Speed, "speed", 1, "factor on the recorded render times: 1 is Odoo's speed, 0 no sleep")
	flags.DurationVar(&opts.MinSleep, "min-sleep", 0, "least time of an answer")
	flags.IntVar(&opts.Workers, "workers", 2, "answers rendered at a time, as Odoo's workers; 0 is no bound")
	flags.StringVar(&opts.Tokens, "tokens", origin.TokensSession, "CSRF tokens in pages: session or none")
	flags.BoolVar(&opts.AppHeaders, "app-headers", false, "send the addon's headers")
	flags.BoolVar(&opts.KeepAlive, "keep-alive", false, "keep connections open, which Odoo does not")
	flags.StringVar(&opts.Dir, "dir", "", "folder of captures (default: testdata/odoo of the repository)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	handler, err := origin.New(opts)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	fmt.Fprintf(out, "listening on http://%s\n", l.Addr())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return srv.Shutdown(grace)
}
