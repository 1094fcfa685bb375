package peer

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
)

// A letter is a message that one region puts into another's queue itself, where the queue cannot tell who did. It is:
//
//	1, origin, key id, signature, body
//
// origin and key id each with its length in a byte before it, the signature Ed25519 (RFC 8032) over letterDomain, the region and queue
// it is for, its message group, each with its length before it, and the body. It may be delivered again, as any message may.
const (
	letterVersion = 1
	// letterDomain begins what is signed, so that a signature of anything else by the same key is no letter, nor the reverse.
	letterDomain = "domicile peer letter v1\x00"
)

// MaxLetterOverhead is how many bytes a letter is longer than its body at the most.
const MaxLetterOverhead = 1 + 2*(1+maxPart) + ed25519.SignatureSize

// ErrForged says that a letter is not of the region that it names, or not for this queue and group.
var ErrForged = errors.New("peer: the message is not authentic")

// letter is the form of a letter, taken apart. Nothing of it is authentic.
type letter struct {
	origin    ident.RegionID
	keyID     string
	signature []byte
	body      []byte
}

func parseLetter(data []byte) (letter, bool) {
	if len(data) == 0 || data[0] != letterVersion {
		return letter{}, false
	}
	data = data[1:]
	var parts [2]string
	for i := range parts {
		if len(data) == 0 || len(data)-1 < int(data[0]) {
			return letter{}, false
		}
		size := int(data[0])
		parts[i], data = string(data[1:1+size]), data[1+size:]
	}
	if len(data) < ed25519.SignatureSize {
		return letter{}, false
	}
	return letter{
		origin: ident.RegionID(parts[0]), keyID: parts[1], signature: data[:ed25519.SignatureSize], body: data[ed25519.SignatureSize:],
	}, true
}

// letterInput is what is signed.
func letterInput(to ident.RegionID, name, group string, body []byte) []byte {
	input := make([]byte, 0, len(letterDomain)+12+len(to)+len(name)+len(group)+len(body))
	input = append(input, letterDomain...)
	for _, part := range []string{string(to), name, group} {
		input = binary.BigEndian.AppendUint32(input, uint32(len(part))) //nolint:gosec // names, far from 4 GiB
		input = append(input, part...)
	}
	return append(input, body...)
}

// LetterBody returns the body of a letter without looking at its signature, for who only shows or counts what lies in a queue. What is no
// letter is returned as it is.
func LetterBody(data []byte) []byte {
	if l, ok := parseLetter(data); ok {
		return l.body
	}
	return data
}

// groupOf is the message group of a letter: each region has groups of its own, so that what one sends that cannot be applied holds up
// nothing of another's.
func groupOf(origin ident.RegionID, group string) string { return string(origin) + "/" + group }

// Mailbox finds the queue of a region that messages of a name go to.
type Mailbox func(to ident.RegionID, name string) (queue.Queue, error)

// Letters puts messages into the queues of other regions, signed. It is a replication.Sender.
type Letters struct {
	region  ident.RegionID
	key     *Key
	mailbox Mailbox
}

// NewLetters returns what sends for a region.
func NewLetters(region ident.RegionID, key *Key, mailbox Mailbox) *Letters {
	return &Letters{region: region, key: key, mailbox: mailbox}
}

// Send puts messages into a queue of region to, under the rules of queue.Queue.
func (l *Letters) Send(ctx context.Context, to ident.RegionID, name string, messages []queue.Outgoing) (failed []error, err error) {
	box, err := l.mailbox(to, name)
	if err != nil {
		return nil, err
	}
	failed = make([]error, len(messages))
	behind := make(map[string]error) // groups of which a message was not accepted, so that no later one may be
	for begin := 0; begin < len(messages); {
		var batch []queue.Outgoing
		var at []int
		size := 0
		for ; begin < len(messages); begin++ {
			m := messages[begin]
			if failed[begin] = behind[m.Group]; failed[begin] != nil {
				continue
			}
			m.Group = groupOf(l.region, m.Group)
			m.Body = l.sign(to, name, m)
			if size += len(m.Body); size > queue.MaxMessageBytes && len(batch) > 0 {
				break // Their frames make letters longer than what the caller counted.
			}
			batch, at = append(batch, m), append(at, begin)
		}
		if len(batch) == 0 {
			break
		}
		refused, err := box.Send(ctx, batch)
		if err != nil {
			return nil, fmt.Errorf("sending to the queue %s of %s: %w", name, to, err)
		}
		for i, err := range refused {
			if err != nil {
				failed[at[i]], behind[messages[at[i]].Group] = err, err
			}
		}
	}
	return failed, nil
}

func (l *Letters) sign(to ident.RegionID, name string, m queue.Outgoing) []byte {
	data := make([]byte, 0, 3+len(l.region)+len(l.key.id)+ed25519.SignatureSize+len(m.Body))
	data = append(data, letterVersion)
	for _, part := range []string{string(l.region), l.key.id} {
		data = append(data, byte(len(part))) //nolint:gosec // the topology's ids and those of keys are short
		data = append(data, part...)
	}
	data = append(data, ed25519.Sign(l.key.private, letterInput(to, name, m.Group, m.Body))...)
	return append(data, m.Body...)
}

// LetterboxConfig is what a Letterbox is made of.
type LetterboxConfig struct {
	// Region is the one that receives, Name how senders call its queue.
	Region ident.RegionID
	Name   string
	Queue  queue.Queue
	Keys   Keys
	// From says which region a message's own words are from; "" when they do not say. One that names another than who signed is forged.
	From   func(body []byte) string
	Logger *slog.Logger
}

// Letterbox is a queue of letters as who applies them sees it: messages without their frame, those alone that are authentic. Others are deleted,
// and the log says so.
type Letterbox struct {
	queue.Queue

	cfg LetterboxConfig
}

// NewLetterbox returns the letters in a queue.
func NewLetterbox(cfg LetterboxConfig) *Letterbox { return &Letterbox{Queue: cfg.Queue, cfg: cfg} }

// Open returns a message without its frame, or ErrForged.
func (b *Letterbox) Open(m queue.Message) (queue.Message, error) {
	l, ok := parseLetter(m.Body)
	if !ok {
		return queue.Message{}, fmt.Errorf("%w: it is no letter", ErrForged)
	}
	key, ok := b.cfg.Keys.PeerKey(l.origin, l.keyID)
	if !ok || len(key) != ed25519.PublicKeySize {
		return queue.Message{}, fmt.Errorf("%w: %w", ErrForged, errUnknownKey)
	}
	if !ed25519.Verify(key, letterInput(b.cfg.Region, b.cfg.Name, m.Group, l.body), l.signature) {
		return queue.Message{}, fmt.Errorf("%w: the signature is another's", ErrForged)
	}
	if !strings.HasPrefix(m.Group, groupOf(l.origin, "")) {
		return queue.Message{}, fmt.Errorf("%w: the message group is another region's", ErrForged)
	}
	if from := b.cfg.From(l.body); from != "" && from != string(l.origin) {
		return queue.Message{}, fmt.Errorf("%w: it speaks for another region", ErrForged)
	}
	m.Body = l.body
	return m, nil
}

// errUnknownKey says that a letter may be authentic under a key that the directory here does not have yet.
var errUnknownKey = errors.New("the origin or its key is not known")

// KeyUnknown tells whether a letter was refused only because its key is not known here: its origin may have made it a moment ago.
func KeyUnknown(err error) bool { return errors.Is(err, errUnknownKey) }

// Opened is what became of a letter.
type Opened struct {
	// Message is it without its frame, if it is authentic and neither of the others holds.
	Message queue.Message
	// Forged says that it is not authentic: it is to be deleted, and the log says so.
	Forged bool
	// Wait says that it cannot be judged yet, or is behind one of its group that cannot: it is to come again.
	Wait bool
}

// OpenAll opens messages as they were received.
func (b *Letterbox) OpenAll(ctx context.Context, messages []queue.Message) []Opened {
	all := make([]Opened, len(messages))
	held := make(map[string]bool)
	for i, m := range messages {
		opened, err := b.Open(m)
		switch {
		case held[m.Group], KeyUnknown(err):
			held[m.Group], all[i].Wait = true, true
		case err == nil:
			all[i].Message = opened
		default:
			b.cfg.Logger.ErrorContext(ctx, "a message was refused and deleted",
				slog.String("queue", b.cfg.Name), slog.String("message", m.ID), slog.Any("error", err))
			all[i].Forged = true
		}
	}
	return all
}

// Receive implements queue.Queue. What cannot be judged yet is left in flight: it comes again when its visibility time-out ends, and is a dead
// letter in the end.
func (b *Letterbox) Receive(ctx context.Context, r queue.Receive) ([]queue.Message, error) {
	messages, err := b.Queue.Receive(ctx, r)
	if err != nil {
		return nil, err
	}
	var good []queue.Message
	var forged []string
	for i, o := range b.OpenAll(ctx, messages) {
		switch {
		case o.Forged:
			forged = append(forged, messages[i].Receipt)
		case !o.Wait:
			good = append(good, o.Message)
		}
	}
	if len(forged) > 0 {
		if _, err := b.Delete(ctx, forged); err != nil {
			return nil, fmt.Errorf("deleting what is not authentic: %w", err)
		}
	}
	return good, nil
}
