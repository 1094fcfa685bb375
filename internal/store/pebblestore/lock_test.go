package pebblestore_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

const holdVariable = "PEBBLESTORE_TEST_HOLD"

// TestHoldDirectory is the other process of TestLock: it holds a directory until its input ends.
func TestHoldDirectory(t *testing.T) { //nolint:paralleltest // It is the only test of its process.
	dir := os.Getenv(holdVariable)
	if dir == "" {
		t.Skip("only for TestLock")
	}
	db, err := pebblestore.Open(pebblestore.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(os.Stdout, "holding\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	closeDB(t, db)
}

func TestLock(t *testing.T) {
	t.Parallel()
	t.Run("this process", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "a", "b")
		db, err := pebblestore.Open(pebblestore.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		lockedBy(t, dir, os.Getpid())
		closeDB(t, db)
		db, err = pebblestore.Open(pebblestore.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		closeDB(t, db)
	})
	t.Run("another process, then killed", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoldDirectory$")
		cmd.Env = append(os.Environ(), holdVariable+"="+dir)
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "holding") {
			t.Fatalf("the other process says %q, %v", line, err)
		}
		lockedBy(t, dir, cmd.Process.Pid)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // It was killed.
		db, err := pebblestore.Open(pebblestore.Config{Dir: dir})
		if err != nil {
			t.Fatalf("open after the holder died: %v", err)
		}
		lockedBy(t, dir, os.Getpid())
		closeDB(t, db)
	})
	t.Run("a pid file that tells nothing", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		db, err := pebblestore.Open(pebblestore.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"", "nonsense", "-1", "0", "4194304999"} {
			if err := os.WriteFile(filepath.Join(dir, "HOLDER"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			lockedBy(t, dir, 0)
		}
		closeDB(t, db)
	})
	t.Run("a directory that cannot be made", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := pebblestore.Open(pebblestore.Config{Dir: filepath.Join(file, "dir")})
		if err == nil || errors.As(err, new(*pebblestore.LockedError)) {
			t.Errorf("open: %v; want an error that is no LockedError", err)
		}
	})
}

// lockedBy checks that the directory is refused in the name of a process.
func lockedBy(t *testing.T, dir string, pid int) {
	t.Helper()
	db, err := pebblestore.Open(pebblestore.Config{Dir: dir})
	if err == nil {
		closeDB(t, db)
		t.Fatal("a directory in use was opened")
	}
	var locked *pebblestore.LockedError
	if !errors.As(err, &locked) || locked.Dir != dir || locked.PID != pid {
		t.Errorf("open: %v; want a LockedError of process %d", err, pid)
	}
	if pid != 0 && !strings.Contains(err.Error(), strconv.Itoa(pid)) {
		t.Errorf("the error does not name process %d: %v", pid, err)
	}
}
