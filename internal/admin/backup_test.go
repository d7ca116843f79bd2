package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// A backup comes whole or with an error.
func TestBackup(t *testing.T) {
	ctx := context.Background()
	text := strings.Repeat("0123456789", 100_000)
	fails := func(after int) func(context.Context, io.Writer) error {
		return func(_ context.Context, w io.Writer) error {
			if _, err := io.WriteString(w, text[:after]); err != nil {
				return err
			}
			return errors.New("the disk is broken")
		}
	}
	for _, tc := range []struct {
		name   string
		backup func(context.Context, io.Writer) error
		want   string // in the error
	}{
		{"whole", func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, text); return err }, ""},
		{"refused", fails(0), "the disk is broken"},
		{"broken off at once", fails(1), "has not answered"},
		{"broken off", fails(len(text) - 1), "broke off"},
		{"broken off at the end", fails(len(text)), "broke off"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			serve(t, dir, Operated{Keys: &fakeKeys{}, Backup: tc.backup})
			var got bytes.Buffer
			n, err := NewClient(dir).Backup(ctx, &got)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || got.String() != text || n != int64(len(text)) {
				t.Errorf("got %d bytes, %v", n, err)
			}
		})
	}
}

// Who goes away, or has no place to write to, ends the backup at the server too.
func TestBackupEndsWithClient(t *testing.T) {
	ended := make(chan error, 1)
	dir := t.TempDir()
	serve(t, dir, Operated{Keys: &fakeKeys{}, Backup: func(_ context.Context, w io.Writer) error {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				ended <- err
				return err
			}
		}
	}})
	if _, err := NewClient(dir).Backup(context.Background(), brokenWriter{}); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the server has written for ever")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }
