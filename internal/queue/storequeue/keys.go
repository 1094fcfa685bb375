package storequeue

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// A queue's items, all of one table:
//
//	q/<name>          o               how often the queue was opened; its version is the number of the last opening
//	                  x<number>       says that a message became a dead letter, for MaxVisibility
//	q/<name>/m/<s>    m<number>       a message; s is one of 16 by the hash of its group
//	                  m<number>r      its last reception, once there was one
//	q/<name>/d/<s>    <id>            a deduplication id; s is one of 16 by its hash; the version's epoch is when it was sent
//
// A number is 8 bytes, big-endian, so that a partition lists its messages in their order, each before its reception.
const (
	shards         = 16
	openingSort    = "o"
	deadPrefix     = "x"
	messagePrefix  = "m"
	messagesEnd    = "n"
	receptionMark  = "r"
	messageSize    = len(messagePrefix) + 8
	receptionSize  = messageSize + len(receptionMark)
	maxNameLength  = 64
	openingShift   = 40
	maxOpening     = 1<<(64-openingShift) - 1
	receiptEncoded = 16
)

// Partitions returns every partition of a table that holds items of the queue, for who audits or erases them.
func Partitions(name string) []string {
	all := make([]string, 0, 1+2*shards)
	all = append(all, openingKey(name).Partition)
	for s := range shards {
		all = append(all, messagePartition(name, s), deduplicationPartition(name, s))
	}
	return all
}

func openingKey(name string) store.Key {
	return store.Key{Partition: "q/" + name, Sort: openingSort}
}

func messagePartition(name string, shard int) string {
	return "q/" + name + "/m/" + string("0123456789abcdef"[shard])
}

func deduplicationPartition(name string, shard int) string {
	return "q/" + name + "/d/" + string("0123456789abcdef"[shard])
}

func messageKey(name, group string, number uint64) store.Key {
	return store.Key{Partition: messagePartition(name, shardOf(group)), Sort: messageSort(number)}
}

func messageSort(number uint64) string { return messagePrefix + bytesOf(number) }

func bytesOf(number uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], number)
	return string(b[:])
}

// deadKey is where it stands that a message became a dead letter.
func deadKey(name string, number uint64) store.Key {
	return store.Key{Partition: openingKey(name).Partition, Sort: deadPrefix + bytesOf(number)}
}

func receptionKey(message store.Key) store.Key {
	return store.Key{Partition: message.Partition, Sort: message.Sort + receptionMark}
}

func deduplicationKey(name, id string) store.Key {
	return store.Key{Partition: deduplicationPartition(name, shardOf(id)), Sort: id}
}

// shardOf spreads groups and ids. It is part of the stored form and never changes.
func shardOf(s string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // A hash never fails.
	return int(h.Sum32() % shards)
}

// parseSort reads the sort key of a message or of its reception.
func parseSort(sort string) (number uint64, reception bool, err error) {
	switch {
	case len(sort) == messageSize && sort[:1] == messagePrefix:
	case len(sort) == receptionSize && sort[:1] == messagePrefix && sort[messageSize:] == receptionMark:
		reception = true
	default:
		return 0, false, errors.New("storequeue: malformed key")
	}
	return binary.BigEndian.Uint64([]byte(sort[1:messageSize])), reception, nil
}

// versionOf is the version of a message's item: the opening that it was sent in, and its number there.
func versionOf(number uint64) ident.Version {
	return ident.Version{Epoch: ident.Epoch(number >> openingShift), Seq: ident.Seq(number & (1<<openingShift - 1))}
}

// receiptOf names a reception: the message's number and what the reception drew at random.
func receiptOf(number, nonce uint64) string {
	b := make([]byte, 0, receiptEncoded)
	b = binary.BigEndian.AppendUint64(b, number)
	b = binary.BigEndian.AppendUint64(b, nonce)
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseReceipt(receipt string) (number, nonce uint64, ok bool) {
	if base64.RawURLEncoding.DecodedLen(len(receipt)) != receiptEncoded {
		return 0, 0, false
	}
	b, err := base64.RawURLEncoding.DecodeString(receipt)
	if err != nil || len(b) != receiptEncoded {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), true
}

// validateName checks a queue's name: lower-case letters, digits, dashes, underscores and dots.
func validateName(name string) error {
	if name == "" || len(name) > maxNameLength {
		return fmt.Errorf("%w: a queue's name has 1 to %d characters", queue.ErrInvalid, maxNameLength)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return fmt.Errorf("%w: a queue's name has lower-case letters, digits, dashes, underscores and dots", queue.ErrInvalid)
		}
	}
	return nil
}
