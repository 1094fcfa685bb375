package dynamostore

import "maps"

// Positions say how far a follower of a change feed has come. They can be kept as JSON and given back to Follow. The zero Positions are
// now.
type Positions struct {
	// Stream is the ARN of the stream that they are of.
	Stream string `json:"stream,omitempty"`
	// Shards have, for each shard that is known, the sequence number of the last record that was taken, or one of the words below.
	Shards map[string]string `json:"shards,omitempty"`
}

// What a position is where there is no sequence number. The first two are DynamoDB's own words.
const (
	atStart = "TRIM_HORIZON" // No record of the shard was taken yet.
	atNow   = "LATEST"       // The shard was entered at its newest record, and none came since.
	atEnd   = "END"          // All records of the shard were taken, and no more will come.
)

// clone returns a copy that its owner may keep.
func (p Positions) clone() Positions {
	return Positions{Stream: p.Stream, Shards: maps.Clone(p.Shards)}
}
