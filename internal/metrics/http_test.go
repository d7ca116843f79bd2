package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func TestHandler(t *testing.T) {
	failed := filled()
	failed.stats.Failure = errors.New("write-ahead log failed, so nothing more can be made durable")
	ending := filled()
	ending.health = errors.New("server: shutdown asked for")
	alone, removed, led, leader := filled(), filled(), filled(), filled()
	alone.clustered, removed.clustered, led.clustered, leader.clustered = true, true, true, true
	alone.replica, led.replica, leader.replica = Replica{}, Replica{Leader: 2}, Replica{Leader: 1, Leading: true}
	for _, tc := range []struct {
		name, method, path string
		of                 *fake
		code               int
		want               string
	}{
		{"metrics", "GET", "/metrics", filled(), 200, "elastickv_connected_clients 1"},
		{"the runtime's", "GET", "/metrics", filled(), 200, "\ngo_goroutines "},
		{"the process's", "GET", "/metrics", filled(), 200, "\nprocess_start_time_seconds "},
		{"metrics of a store that failed", "GET", "/metrics", failed, 200, "elastickv_store_writable 0\n"},
		{"well", "GET", "/healthz", filled(), 200, "ok\n"},
		{"a store that failed", "GET", "/healthz", failed, 503, "write-ahead log failed, so nothing more can be made durable\n"},
		{"a server that ends", "GET", "/healthz", ending, 503, "server: shutdown asked for\n"},
		{"a node without a leader", "GET", "/healthz", alone, 503, "nobody is known to lead the cluster\n"},
		{"a node that was removed", "GET", "/healthz", removed, 503, "this node has been removed from its cluster\n"},
		{"a node that follows", "GET", "/healthz", led, 200, "ok\n"},
		{"the leader", "GET", "/leader", leader, 200, "ok\n"},
		{"the leader is another", "GET", "/leader", led, 503, "node 2 leads\n"},
		{"nobody leads", "GET", "/leader", alone, 503, "nobody is known to lead the cluster\n"},
		{"the leader, of none", "GET", "/leader", filled(), 200, "ok\n"},
		{"the leader, which ends", "GET", "/leader", ending, 503, "server: shutdown asked for\n"},
		{"without a body", "HEAD", "/healthz", ending, 503, ""},
		{"another method", "POST", "/metrics", filled(), 405, ""},
		{"another method", "DELETE", "/healthz", filled(), 405, ""},
		{"another path", "GET", "/", filled(), 404, ""},
		{"another path", "GET", "/healthz/x", filled(), 404, ""},
	} {
		w := httptest.NewRecorder()
		Handler(tc.of.source(), slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s: %s %s: got %d %.300q, want %d and %q", tc.name, tc.method, tc.path, w.Code, w.Body, tc.code, tc.want)
		}
		if tc.path == "/healthz" && tc.method == "GET" && w.Body.String() != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, w.Body, tc.want)
		}
	}
}

// What cannot be shown is logged and leaves the rest alone.
func TestFaultyFigure(t *testing.T) {
	var log strings.Builder
	reg := prometheus.NewRegistry()
	reg.MustRegister(NewCollector(filled().source()), prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ok"}, func() float64 { return 1 }), faulty{})
	w := httptest.NewRecorder()
	logger := slog.New(slog.NewTextHandler(&log, nil))
	promhttp.HandlerFor(reg, handlerOptions(logger)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "\nok 1\n") || !strings.Contains(log.String(), "no such figure") {
		t.Errorf("status %d, log %q", w.Code, log.String())
	}
}

// faulty is a collector of a metric that cannot be collected.
type faulty struct{}

var faultyDesc = prometheus.NewDesc("faulty", "help", nil, nil)

func (faulty) Describe(ch chan<- *prometheus.Desc) { ch <- faultyDesc }
func (faulty) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(faultyDesc, errors.New("no such figure"))
}

// closing is a listener that tells when it is closed.
type closing struct {
	net.Listener
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

// A request that is under way when it is to end is still answered.
func TestServe(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &closing{Listener: tcp, closed: make(chan struct{})}
	url := "http://" + ln.Addr().String()
	began, goOn := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/quick", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "quick") })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-goOn
		fmt.Fprint(w, "slow")
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, ln, mux, slog.New(slog.DiscardHandler)) }()
	if got := get(t, url+"/quick"); got != "quick" {
		t.Errorf("got %q", got)
	}
	slow := make(chan string, 1)
	go func() { slow <- get(t, url+"/slow") }()
	<-began
	stop()
	<-ln.closed
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
	}
	close(goOn)
	if got := <-slow; got != "slow" {
		t.Errorf("a request under way got %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

func get(t *testing.T, url string) string {
	r, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// A listener that fails ends it at once, with the reason.
func TestServeFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	err = Serve(context.Background(), ln, http.NewServeMux(), slog.New(slog.DiscardHandler))
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
}
