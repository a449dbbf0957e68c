// Command demo shows what odoocache does, on real parts: a Traefik process that
// interprets the plugin, a Redis server, and an origin that replays pages
// captured from an Odoo 19 shop at the speed at which Odoo rendered them.
//
// It needs the path of a Traefik binary in TRAEFIK. Without redis-server it
// uses the plugin's memory storage and says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	keep := flag.Bool("keep", false, "leave everything running until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *keep)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, keep bool) error {
	s, err := newStage(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	w := &walk{stage: s, out: os.Stdout}
	w.introduce()
	w.speed()
	w.purgeByHeader()
	w.purgeByRequest()
	if w.failed > 0 {
		return fmt.Errorf("%d of the steps above did not go as they should", w.failed)
	}
	if !keep {
		fmt.Println("\nmake demo KEEP=1 leaves it running, to try by hand.")
		return nil
	}
	w.invite()
	<-ctx.Done()
	return nil
}

var errNoTraefik = errors.New("TRAEFIK does not name a Traefik binary; make demo finds or builds one")
