package app

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/domicile-api/domicile/internal/audit"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// The tables of a region, as audits and reports call them, and its queues together.
const (
	DirectoryTable = "directory"
	RegionalTable  = "regional"
	KeysTable      = "keys"
	ReplicaTable   = "replica"
	SettingsTable  = "settings"
	QueuesTable    = "queues"
)

// MaxReceives is how often a message is received before it is a dead letter.
const MaxReceives = 5

// Backend opens what regions keep their data in and sign with: internal/app/embedded on this machine's disk, internal/app/aws on
// DynamoDB, SQS and KMS.
type Backend interface {
	// Open opens what a region has. What was opened before a failure is closed again.
	Open(ctx context.Context, o Opening) (*Resources, error)
}

// Part is what a process is of a region, and with it what the process may touch.
type Part uint8

// The parts.
const (
	// Whole is everything: the default.
	Whole Part = iota
	// ServicesPart is everything but what functions do in its stead.
	ServicesPart
	// EdgeAlone needs the route key and what there is of the directory.
	EdgeAlone
	// RelayPart tells other regions of writes: it reads the regional table and keys, writes cursors and marks, and sends.
	RelayPart
	// ApplyEvents applies projections and settings: it has the replica and settings tables, and no key.
	ApplyEvents
	// ApplySealed applies what only regions of the jurisdiction are sent: projections with regulated fields, and sealed copies, which it
	// stores as they are. It has the regional and the replica table, and no key.
	ApplySealed
	// SweepPart does what the others left: it has all tables, sends, and keeps the copy of the directory.
	SweepPart
)

// Has tells whether a part of a region has a table, by the name of it.
func (p Part) Has(table string) bool {
	switch p {
	case Whole, ServicesPart, SweepPart:
		return true
	case EdgeAlone:
		return false
	case RelayPart:
		return table == RegionalTable || table == KeysTable
	case ApplyEvents:
		return table == ReplicaTable || table == SettingsTable
	case ApplySealed:
		return table == RegionalTable || table == ReplicaTable
	default:
		return false
	}
}

// Located is a Backend that says where it is, for demo.json.
type Located interface {
	// Cloud returns it.
	Cloud() *DemoCloud
}

// Opening says which region's resources are to be opened, and with what.
type Opening struct {
	Region   ident.RegionID
	Index    topology.Index
	Topology *topology.Topology
	// Part is what the process is of the region; only what it needs is opened.
	Part Part
	// Peers reaches other regions. It is not to be called before all of the region is open.
	Peers peer.Network
	// Published are the keys that regions have published in the directory. It knows none before the region has read it.
	Published peer.Keys
	// Tag says whose a message in a queue is and what it holds; Sender says which region sent it, "" if it does not say.
	Tag    func(queue string, body []byte) store.Tag
	Sender func(body []byte) string

	Clock  func() time.Time
	Random io.Reader
	Logger *slog.Logger
}

// Resources are what a region stands on. What the process's part does not need is absent.
type Resources struct {
	// RouteSeed is the seed of the Ed25519 key by which the region's edges sign.
	RouteSeed []byte
	// PeerSeed is the seed of the Ed25519 key that signs the region's calls and messages to others. PeerKeys recognises theirs; nil: by the keys
	// that regions publish in the directory, and this one publishes its own.
	PeerSeed []byte
	PeerKeys peer.Keys

	// Directory is the region's replica of the global table; nil: DirectoryCopy alone is what is known. DirectoryInterval is how often it
	// is looked at for what others wrote; zero: a follower's default.
	Directory         directory.Table
	DirectoryInterval time.Duration
	// DirectoryCopy is the last good copy of the directory; this process keeps it, unless it is read-only. Nil: there is none.
	DirectoryCopy         directory.Copy
	DirectoryCopyReadOnly bool
	// Replicate takes an item of the directory from the region that wrote it; nil: the table replicates itself.
	Replicate func(ctx context.Context, item peer.Replicated) error

	Regional, Replica, Keys, Settings store.Store
	// Shared says that other processes of the region use the same tables.
	Shared bool
	// Places are all that the region holds, for audits.
	Places []audit.Place
	// Queues are those that other regions send to.
	Queues []Queue
	// Sender puts messages into the queues of other regions; nil: they are sent as calls to the peers.
	Sender replication.Sender

	// OwnKey is the key under which others wrap for this region alone, by the public half that it publishes.
	OwnKey OwnKey
	// TenantKeys wraps the keys of tenants at rest in this region.
	TenantKeys seal.Wrapper
	// WrapFor wraps a tenant's key for another region; nil: under the key that the region has published.
	WrapFor func(ctx context.Context, region ident.RegionID, tenant ident.TenantID, keyset []byte) ([]byte, error)

	// Scrub removes deleted rows from where the tables lie; nil: there is nothing to be done.
	Scrub func(ctx context.Context) error
	// KeyBackups is how long backups of the keys table exist after a change; zero: there are none.
	KeyBackups time.Duration
	// Loops go on while the region runs.
	Loops []Loop
	// Close gives all of it back.
	Close func() error
}

// OwnKey unwraps what others have wrapped for a region under its public half.
type OwnKey interface {
	seal.Wrapper
	// Public returns the public half, which is GLOBAL.
	Public() []byte
}

// Queue is a queue with its dead letters.
type Queue struct {
	// Name is what senders call it: replication.QueueEvents or QueueSealed.
	Name        string
	Queue, Dead queue.Queue
	// Incoming is Queue as who applies its messages sees it: what is not authentic is left out; nil: Queue, which lets nothing else in.
	Incoming queue.Queue
	// Content takes a message's content out of a body that lies in Queue or Dead; nil: it is the body.
	Content func(body []byte) []byte
	// Browse returns the first dead letters without receiving them, so that it disturbs nobody.
	Browse func(ctx context.Context, limit int) ([]queue.Message, error)
	// Waiting counts the messages by who sent them; nil: that is not known.
	Waiting func() map[string]int
}

func (q Queue) incoming() queue.Queue {
	if q.Incoming != nil {
		return q.Incoming
	}
	return q.Queue
}

func (q Queue) content(body []byte) []byte {
	if q.Content != nil {
		return q.Content(body)
	}
	return body
}

// Loop is something that goes on until its context ends.
type Loop struct {
	Name string
	Run  func(context.Context) error
}
