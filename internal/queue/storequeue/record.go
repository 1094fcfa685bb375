package storequeue

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/domicile-api/domicile/internal/queue"
)

// recordFormat is the first byte of a stored message or reception.
const recordFormat = 1

var errRecord = errors.New("storequeue: malformed record")

const idSize = 16

// message is a stored message. Its record is, after the format: the id, the two times as 8 bytes each, the group after its
// length, and the body to the end.
type message struct {
	id [idSize]byte
	// sent is when Send accepted it, since when it came into this queue, in Unix nanoseconds. They differ for dead letters.
	sent, since int64
	group       string
	body        []byte
}

// messageOverhead is how much longer a record is than group and body.
const messageOverhead = 1 + idSize + 8 + 8 + 1

func appendMessage(dst []byte, m *message) []byte {
	dst = append(dst, recordFormat)
	dst = append(dst, m.id[:]...)
	dst = appendTime(dst, m.sent)
	dst = appendTime(dst, m.since)
	dst = append(dst, byte(len(m.group))) //nolint:gosec // A group has at most 128 bytes.
	dst = append(dst, m.group...)
	return append(dst, m.body...)
}

// parseMessage reads a stored message. The body refers to rec.
func parseMessage(rec []byte) (m message, err error) {
	const fixed = messageOverhead
	if len(rec) < fixed || rec[0] != recordFormat {
		return message{}, errRecord
	}
	m.id = [idSize]byte(rec[1:])
	var ok [2]bool
	m.sent, ok[0] = takeTime(rec[1+idSize:])
	m.since, ok[1] = takeTime(rec[1+idSize+8:])
	size := int(rec[fixed-1])
	rest := rec[fixed:]
	if !ok[0] || !ok[1] || size == 0 || size > queue.MaxNameBytes || size > len(rest) {
		return message{}, errRecord
	}
	m.group, m.body = string(rest[:size]), rest[size:]
	return m, nil
}

// reception is the last reception of a message. Its record is, after the format: the count as 4 bytes, and the two times and the nonce
// as 8 bytes each.
type reception struct {
	receives uint32
	// received is when it began, deadline when it ends or zero when it was ended, in Unix nanoseconds.
	received, deadline int64
	// nonce tells the reception from others of the message.
	nonce uint64
}

const receptionRecordSize = 1 + 4 + 8 + 8 + 8

func appendReception(dst []byte, r reception) []byte {
	dst = append(dst, recordFormat)
	dst = binary.BigEndian.AppendUint32(dst, r.receives)
	dst = appendTime(dst, r.received)
	dst = appendTime(dst, r.deadline)
	return binary.BigEndian.AppendUint64(dst, r.nonce)
}

func parseReception(rec []byte) (r reception, err error) {
	if len(rec) != receptionRecordSize || rec[0] != recordFormat {
		return reception{}, errRecord
	}
	var ok [2]bool
	r.receives = binary.BigEndian.Uint32(rec[1:])
	r.received, ok[0] = takeTime(rec[5:])
	r.deadline, ok[1] = takeTime(rec[13:])
	r.nonce = binary.BigEndian.Uint64(rec[21:])
	if !ok[0] || !ok[1] {
		return reception{}, errRecord
	}
	return r, nil
}

// appendTime writes a time of the present age: it is never negative.
func appendTime(dst []byte, nanos int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(max(nanos, 0)))
}

func takeTime(b []byte) (nanos int64, ok bool) {
	n := binary.BigEndian.Uint64(b)
	return int64(n & math.MaxInt64), n <= math.MaxInt64
}
