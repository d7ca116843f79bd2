package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of a request. Answers are small, and those who ask are few.
const (
	requestWait  = 10 * time.Second // for a whole request to arrive
	answerWait   = 30 * time.Second // from then to the end of the answer
	idleWait     = 2 * time.Minute  // for the next request on a connection
	headersMost  = 16 << 10         // bytes
	requestsMost = 8                // at a time; each costs the store a look at all it knows
	goodbye      = 2 * time.Second  // for answers under way when the server ends
)

// Handler answers GET /metrics in the text format of Prometheus, with figures of the Go
// runtime and of the process besides ours, and GET /healthz with 200 while src's store takes
// writes and its server clients, else with 503 and the reason. GET /leader does the same, and wants of a node of a cluster that
// it leads.
func Handler(src Source, log *slog.Logger) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(NewCollector(src), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, handlerOptions(log)))
	mux.HandleFunc("GET /healthz", answering(src, (*Replica).health))
	mux.HandleFunc("GET /leader", answering(src, (*Replica).lead))
	return mux
}

// answering says whether all is well, of a node of a cluster by what of says.
func answering(src Source, of func(*Replica) error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := health(src, of); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

func handlerOptions(log *slog.Logger) promhttp.HandlerOpts {
	return promhttp.HandlerOpts{
		ErrorLog:            errorLog{log},
		ErrorHandling:       promhttp.ContinueOnError, // one figure that is wrong must not hide the others
		MaxRequestsInFlight: requestsMost,
	}
}

// health is why nothing can be written; nil if it can.
func health(src Source, of func(*Replica) error) error {
	if err := src.Server.Health(); err != nil {
		return err
	}
	if err := src.Store.Stats().Failure; err != nil || src.Replica == nil {
		return err
	}
	r := src.Replica()
	return of(&r)
}

// errorLog is where promhttp tells of figures that it could not show.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Println(v ...any) { l.log.Error("metrics", "err", fmt.Sprint(v...)) }

// Serve answers requests with h until ctx ends, gives those under way a moment and
// returns nil. It closes ln.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler: h, ReadTimeout: requestWait, WriteTimeout: requestWait + answerWait, IdleTimeout: idleWait,
		MaxHeaderBytes: headersMost, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("metrics: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	if srv.Shutdown(last) != nil {
		_ = srv.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
