package peer_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue"
)

// letterQueue is a queue in memory: what is sent is received once, unless it is refused.
type letterQueue struct {
	queue.Queue

	refuse  string
	sent    [][]queue.Outgoing
	deleted []string
}

func (b *letterQueue) Send(_ context.Context, messages []queue.Outgoing) ([]error, error) {
	failed := make([]error, len(messages))
	for i, m := range messages {
		if m.Deduplication == b.refuse {
			failed[i] = queue.ErrFull
		}
	}
	b.sent = append(b.sent, messages)
	return failed, nil
}

func (b *letterQueue) Receive(context.Context, queue.Receive) ([]queue.Message, error) {
	var all []queue.Message
	for _, batch := range b.sent {
		for _, m := range batch {
			all = append(all, queue.Message{ID: m.Deduplication, Receipt: m.Deduplication, Group: m.Group, Body: m.Body})
		}
	}
	return all, nil
}

func (b *letterQueue) Delete(_ context.Context, receipts []string) ([]error, error) {
	b.deleted = append(b.deleted, receipts...)
	return make([]error, len(receipts)), nil
}

// signers knows one key of each region.
type signers map[ident.RegionID]*peer.Key

func (k signers) PeerKey(region ident.RegionID, keyID string) (ed25519.PublicKey, bool) {
	key, ok := k[region]
	if !ok || key.ID() != keyID {
		return nil, false
	}
	return key.Public(), true
}

func keyOf(seed byte) *peer.Key { return peer.NewKey(bytes.Repeat([]byte{seed}, ed25519.SeedSize)) }

// letters are two regions that write to a third.
type letters struct {
	keys signers
	box  *letterQueue
	logs *bytes.Buffer
}

func newLetters() *letters {
	return &letters{keys: signers{"eu-central-1": keyOf(1), "us-east-1": keyOf(2)}, box: &letterQueue{}, logs: &bytes.Buffer{}}
}

func (l *letters) from(region ident.RegionID) *peer.Letters {
	return peer.NewLetters(region, l.keys[region], func(ident.RegionID, string) (queue.Queue, error) { return l.box, nil })
}

// at is the queue as who applies its messages sees it. A body says before a colon whom it is from.
func (l *letters) at(region ident.RegionID, name string) *peer.Letterbox {
	return peer.NewLetterbox(peer.LetterboxConfig{
		Region: region, Name: name, Queue: l.box, Keys: l.keys, Logger: slog.New(slog.NewTextHandler(l.logs, nil)),
		From: func(body []byte) string {
			from, _, _ := strings.Cut(string(body), ":")
			return from
		},
	})
}

func (l *letters) send(t *testing.T, from ident.RegionID, m ...queue.Outgoing) []error {
	t.Helper()
	failed, err := l.from(from).Send(t.Context(), "sa-east-1", "events", m)
	if err != nil {
		t.Fatal(err)
	}
	return failed
}

func letterOf(id, group, body string) queue.Outgoing {
	return queue.Outgoing{Deduplication: id, Group: group, Body: []byte(body)}
}

func TestLetterArrives(t *testing.T) {
	t.Parallel()
	l := newLetters()
	l.send(t, "eu-central-1", letterOf("1", "g", "eu-central-1:hello"))
	got, err := l.at("sa-east-1", "events").Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Second})
	if err != nil || len(got) != 1 || string(got[0].Body) != "eu-central-1:hello" || got[0].Group != "eu-central-1/g" {
		t.Fatalf("received %+v, %v", got, err)
	}
	if body := peer.LetterBody(l.box.sent[0][0].Body); string(body) != "eu-central-1:hello" {
		t.Errorf("looked at, it says %q", body)
	}
	if body := peer.LetterBody([]byte("no letter")); string(body) != "no letter" {
		t.Errorf("what is no letter says %q", body)
	}
}

// What is not of the region that it names, or not for this queue and group, is deleted and never handed on; each alteration of a letter is found.
func TestForgedLettersAreDeleted(t *testing.T) {
	t.Parallel()
	l := newLetters()
	l.send(t, "eu-central-1", letterOf("1", "g", "eu-central-1:hello"))
	good := l.box.sent[0][0]
	forge := func(change func(*queue.Outgoing)) queue.Outgoing {
		m := good
		m.Body = bytes.Clone(good.Body)
		change(&m)
		return m
	}
	speaker := newLetters()
	speaker.send(t, "us-east-1", letterOf("1", "g", "eu-central-1:hello"))
	for name, tt := range map[string]struct {
		region  ident.RegionID
		queue   string
		message queue.Outgoing
	}{
		"for another region":   {"ap-southeast-1", "events", good},
		"for another queue":    {"sa-east-1", "sealed", good},
		"in another group":     {"sa-east-1", "events", forge(func(m *queue.Outgoing) { m.Group = "us-east-1/g" })},
		"of another content":   {"sa-east-1", "events", forge(func(m *queue.Outgoing) { m.Body[len(m.Body)-1] ^= 1 })},
		"cut off":              {"sa-east-1", "events", forge(func(m *queue.Outgoing) { m.Body = m.Body[:20] })},
		"no letter":            {"sa-east-1", "events", forge(func(m *queue.Outgoing) { m.Body = []byte("eu-central-1:hello") })},
		"speaking for another": {"sa-east-1", "events", speaker.box.sent[0][0]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLetters()
			l.box.sent = [][]queue.Outgoing{{tt.message}}
			got, err := l.at(tt.region, tt.queue).Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Second})
			if err != nil || len(got) != 0 {
				t.Errorf("received %+v, %v", got, err)
			}
			if diff := cmp.Diff([]string{"1"}, l.box.deleted); diff != "" {
				t.Errorf("deleted (-want +got):\n%s", diff)
			}
			if strings.Contains(l.logs.String(), "hello") || !strings.Contains(l.logs.String(), "refused and deleted") {
				t.Errorf("the log says %s", l.logs)
			}
		})
	}
}

// A letter under a key that is not known here yet waits, and what is behind it in its group too.
func TestLetterOfAnUnknownKeyWaits(t *testing.T) {
	t.Parallel()
	l := newLetters()
	l.send(t, "us-east-1", letterOf("1", "g", "us-east-1:first"))
	l.send(t, "us-east-1", letterOf("2", "g", "us-east-1:second"))
	l.send(t, "eu-central-1", letterOf("3", "g", "eu-central-1:other"))
	key := l.keys["us-east-1"]
	delete(l.keys, "us-east-1")
	got, err := l.at("sa-east-1", "events").Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Second})
	if err != nil || len(got) != 1 || got[0].ID != "3" || len(l.box.deleted) > 0 {
		t.Fatalf("received %+v, %v, deleted %v", got, err, l.box.deleted)
	}
	l.keys["us-east-1"] = key
	if got, err = l.at("sa-east-1", "events").Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Second}); err != nil || len(got) != 3 {
		t.Errorf("received %+v, %v, once the key is known", got, err)
	}
}

// Frames make letters longer than what was counted, so a call may become two; a message that is not accepted keeps back those behind it.
func TestLettersAreSplitInOrder(t *testing.T) {
	t.Parallel()
	l := newLetters()
	l.box.refuse = "1"
	half := strings.Repeat("x", queue.MaxMessageBytes/2)
	failed := l.send(t, "eu-central-1", letterOf("1", "g", half), letterOf("2", "other", half), letterOf("3", "g", "x"), letterOf("4", "other", "x"))
	want := []error{queue.ErrFull, nil, queue.ErrFull, nil}
	for i := range want {
		if !errors.Is(failed[i], want[i]) {
			t.Errorf("message %d: %v, want %v", i+1, failed[i], want[i])
		}
	}
	var order []string
	for _, batch := range l.box.sent {
		size := 0
		for _, m := range batch {
			size += len(m.Body)
			order = append(order, m.Deduplication)
		}
		if size > queue.MaxMessageBytes {
			t.Errorf("a call of %d bytes", size)
		}
	}
	if diff := cmp.Diff([]string{"1", "2", "4"}, order); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}
