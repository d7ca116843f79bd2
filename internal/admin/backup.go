package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// sendBackup answers with a backup. Once it has begun, nothing but an end of the connection in the
// middle of the answer can say that it failed; an HTTP client takes that for no whole answer.
func sendBackup(w http.ResponseWriter, r *http.Request, o Operated, log *slog.Logger) {
	// Who stops to read would keep the snapshot, and so its files, for ever.
	stalled := time.AfterFunc(stallWait, func() { _ = http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)) })
	defer stalled.Stop()
	out := &backupAnswer{w: w, moved: func() { stalled.Reset(stallWait) }}
	err := o.Backup(r.Context(), out)
	switch {
	case err == nil:
		log.Info("backup: sent", "bytes", out.n)
	case out.n == 0:
		log.Warn("backup: refused", "err", err)
		answer(w, nil, err)
	default:
		log.Warn("backup: not finished", "bytes", out.n, "err", err)
		panic(http.ErrAbortHandler)
	}
}

// backupAnswer counts what has been sent.
type backupAnswer struct {
	w     http.ResponseWriter
	n     int64
	moved func() // is told of every write that got through
}

func (b *backupAnswer) Write(p []byte) (int, error) {
	if len(p) == 0 { // would begin the answer
		return 0, nil
	}
	n, err := b.w.Write(p)
	b.n += int64(n)
	if err == nil {
		b.moved()
	}
	return n, err
}

// Backup writes a backup of the server's data to w. After an error what is in w is of no use.
func (c *Client) Backup(ctx context.Context, w io.Writer) (n int64, err error) {
	res, err := c.send(ctx, http.MethodGet, backupPath, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, faultOf(res)
	}
	if n, err = io.Copy(w, res.Body); err != nil {
		return n, fmt.Errorf("the backup broke off after %d bytes; the log of the server may say why (%w)", n, err)
	}
	return n, nil
}
