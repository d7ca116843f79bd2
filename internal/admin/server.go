package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// The requests of the door. Each has a JSON object as its answer, but for the backup, which is
// the answer itself; a fault has the status 409 and {"error": …}.
const (
	backupPath = "/v1/backup"      // GET: a backup
	keysPath   = "/v1/keys"        // GET: KeysStatus
	rotatePath = "/v1/keys/rotate" // POST: Rotated
	enablePath = "/v1/keys/enable" // POST providerRequest: Provided
	rewrapPath = "/v1/keys/rewrap" // POST providerRequest: Provided
	retirePath = "/v1/keys/retire" // POST retireRequest: {}

	clusterPath  = "/v1/cluster"          // GET: ClusterStatus
	invitePath   = "/v1/cluster/invite"   // POST nodeRequest: Invited
	removePath   = "/v1/cluster/remove"   // POST nodeRequest: {}
	movePath     = "/v1/cluster/move"     // POST nodeRequest: {}
	transferPath = "/v1/cluster/transfer" // POST nodeRequest: {}
)

// Rotated is the answer to a rotation.
type Rotated struct {
	Active uint32 `json:"active"`
}

type providerRequest struct {
	Provider string `json:"provider"` // empty: the one that there is
}

// Provided is the answer when there is another key encryption key.
type Provided struct {
	Provider string `json:"provider"` // that has to be given at the next start
}

type retireRequest struct {
	ID uint32 `json:"id"`
}

type fault struct {
	Error string `json:"error"`
}

const (
	requestMost    = 64 << 10         // bytes of a request
	requestWait    = 10 * time.Second // that a client may take to send one
	connectionMost = 16               // connections at the same time
	stallWait      = 5 * time.Minute  // that a client may leave a backup unread
)

// Operated is what an operator can ask.
type Operated struct {
	Keys   Keys                                         // nil: nothing is sealed
	Backup func(ctx context.Context, w io.Writer) error // writes a backup to w
	// Cluster is nil where there is none.
	Cluster Cluster
}

// Serve answers at ln until ctx ends, and closes it.
func Serve(ctx context.Context, ln net.Listener, o Operated, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           handler(o, log),
		ReadHeaderTimeout: requestWait,
		MaxHeaderBytes:    requestMost,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	done := make(chan struct{})
	var closing sync.WaitGroup
	closing.Go(func() {
		select {
		case <-ctx.Done():
			_ = srv.Close()
		case <-done:
		}
	})
	err := srv.Serve(&owned{Listener: ln, room: make(chan struct{}, connectionMost)})
	close(done)
	closing.Wait()
	if errors.Is(err, http.ErrServerClosed) && ctx.Err() != nil {
		return nil
	}
	return err
}

func handler(o Operated, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+backupPath, func(w http.ResponseWriter, r *http.Request) { sendBackup(w, r, o, log) })
	handleKeys(mux, o.Keys, log)
	handleCluster(mux, o.Cluster, log)
	return mux
}

func handleKeys(mux *http.ServeMux, k Keys, log *slog.Logger) {
	mux.HandleFunc("GET "+keysPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, k.Status(), nil) })
	mux.HandleFunc("POST "+rotatePath, func(w http.ResponseWriter, _ *http.Request) {
		id, err := k.Rotate()
		logDone(log, "rotate", err, "active", id)
		answer(w, Rotated{id}, err)
	})
	provide := func(path, what string, do func(ctx context.Context, provider string) (string, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var in providerRequest
			if !read(w, r, &in) {
				return
			}
			name, err := do(r.Context(), in.Provider)
			logDone(log, what, err, "provider", name)
			answer(w, Provided{name}, err)
		})
	}
	provide(enablePath, "enable", k.Enable)
	provide(rewrapPath, "rewrap", k.Rewrap)
	mux.HandleFunc("POST "+retirePath, func(w http.ResponseWriter, r *http.Request) {
		var in retireRequest
		if !read(w, r, &in) {
			return
		}
		err := k.Retire(in.ID)
		logDone(log, "retire", err, "key", in.ID)
		answer(w, struct{}{}, err)
	})
}

// logDone leaves a trace of what an operator has done to keys.
func logDone(log *slog.Logger, what string, err error, args ...any) {
	if err != nil {
		log.Warn("keys: "+what+" refused", "err", err)
		return
	}
	log.Info("keys: "+what, args...)
}

// read decodes a request, or answers that it cannot.
func read(w http.ResponseWriter, r *http.Request, in any) bool {
	// No longer than that, but what the request asks for may take longer.
	late := time.AfterFunc(requestWait, func() { _ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) })
	defer late.Stop()
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, requestMost))
	d.DisallowUnknownFields()
	err := d.Decode(in)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		answer(w, nil, fmt.Errorf("request: %w", err))
	}
	return err == nil
}

func answer(w http.ResponseWriter, out any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		out = fault{err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out) // whoever has asked is gone
}
