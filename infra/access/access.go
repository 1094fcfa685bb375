// Package access says what each process of a deployment may do to each of its stores, in one table, and writes the IAM statements
// that follow from it. Roles, queue policies, key policies and the endpoints of the private network are all made from this table;
// nothing else in infra/ grants anything.
//
// Promises, which tests hold over the table and again over the synthesized templates: no statement has an action with a wildcard; no
// resource has one except those that Exceptions lists with their reasons; a process that is not in the table for a store gets no
// statement that names it.
package access

import "slices"

// Class is the highest class of data that a store can hold. Each includes those before it.
type Class string

// The classes, from the least to the most guarded.
const (
	Global   Class = "GLOBAL"
	Regional Class = "REGIONAL"
	PII      Class = "PII"
)

// Process is something that runs in a region under a role of its own.
type Process string

// The processes of a region. Their names are parts of role names and function names.
const (
	// Edge is the function behind the HTTP API.
	Edge Process = "edge"
	// EdgeTask is the edge on Fargate, for gRPC and streams.
	EdgeTask Process = "edge-task"
	// Services is all services of a region, on Fargate.
	Services Process = "services"
	// Relay is the function on the change stream of the regional table.
	Relay Process = "relay"
	// ApplyEvents is the function on the events queue.
	ApplyEvents Process = "apply-events"
	// ApplySealed is the function on the sealed queue.
	ApplySealed Process = "apply-sealed"
	// Sweep is the function that runs each minute.
	Sweep Process = "sweep"
	// Agent is what starts the Fargate tasks: it pulls images and writes their logs, and touches no data.
	Agent Process = "agent"
)

// Processes returns all processes, in a fixed order.
func Processes() []Process {
	return []Process{Edge, EdgeTask, Services, Relay, ApplyEvents, ApplySealed, Sweep, Agent}
}

// Functions returns the processes that are Lambda functions.
func Functions() []Process { return []Process{Edge, Relay, ApplyEvents, ApplySealed, Sweep} }

// Store is something that holds data, or opens it.
type Store string

// The stores of a region, and of other regions as far as a region reaches them.
const (
	Directory     Store = "directory"
	RegionalTable Store = "regional"
	KeysTable     Store = "keys"
	ReplicaTable  Store = "replica"
	// SettingsTable has the settings that every region may write, GLOBAL fields alone.
	SettingsTable Store = "settings"
	// RegionalStream is the change stream of the regional table; it has keys of items, no content.
	RegionalStream Store = "regional-stream"
	// StreamList is the list of the account's change streams: names, nothing else.
	StreamList Store = "stream-list"
	// TenantsKey wraps tenants' data keys.
	TenantsKey Store = "tenants-key"
	// LawfulTenantsKeys are those of the other regions of the jurisdiction.
	LawfulTenantsKeys Store = "lawful-tenants-keys"
	EventsQueue       Store = "events"
	EventsDead        Store = "events-dead"
	SealedQueue       Store = "sealed"
	SealedDead        Store = "sealed-dead"
	// RemoteEvents are the events queues of all other regions.
	RemoteEvents Store = "remote-events"
	// LawfulSealed are the sealed queues of the other regions of the jurisdiction.
	LawfulSealed Store = "lawful-sealed"
	// RelayFailures is the queue of stream positions that the relay gave up; it has numbers, no content.
	RelayFailures Store = "relay-failures"
	// Snapshots are the copies of the directory in the region's bucket.
	Snapshots Store = "snapshots"
	RouteKey  Store = "route-key"
	PeerKey   Store = "peer-key"
	Topology  Store = "topology"
	// Image is the repository of the container image, if it is one of Amazon's registry.
	Image Store = "image"
	// Registry is the registry itself, which gives out log-in tokens.
	Registry Store = "registry"
	// Logs are the process's own log streams.
	Logs Store = "logs"
)

// Stores returns all stores, in a fixed order.
func Stores() []Store {
	return []Store{
		Directory, RegionalTable, RegionalStream, StreamList, KeysTable, ReplicaTable, SettingsTable, TenantsKey, LawfulTenantsKeys,
		EventsQueue, EventsDead, SealedQueue, SealedDead, RemoteEvents, LawfulSealed, RelayFailures, Snapshots, RouteKey,
		PeerKey, Topology, Image, Registry, Logs,
	}
}

// ClassOf returns the highest class of data that a store can hold or open. A projection for the same jurisdiction has REGIONAL fields,
// so whatever carries or stores projections can hold them.
func ClassOf(s Store) Class {
	switch s {
	case RegionalTable, KeysTable, TenantsKey, LawfulTenantsKeys, SealedQueue, SealedDead, LawfulSealed:
		return PII
	case ReplicaTable, EventsQueue, EventsDead, RemoteEvents:
		return Regional
	case Directory, SettingsTable, RegionalStream, StreamList, RelayFailures, Snapshots, RouteKey, PeerKey, Topology, Image, Registry, Logs:
		return Global
	default:
		return PII
	}
}

// Use is what a process does to a store.
type Use string

// The uses.
const (
	Read Use = "read"
	// Walk looks at everything: audits and purges. Nothing that answers a call walks a table.
	Walk Use = "walk"
	// Write includes deleting. A table's transactions need the right to check a condition too.
	Write Use = "write"
	// WriteOwn is Write to the partitions of the directory that have the region's name.
	WriteOwn Use = "write-own"
	// Follow reads a change stream.
	Follow  Use = "follow"
	Send    Use = "send"
	Receive Use = "receive"
	// Operate shows, returns and drops dead letters.
	Operate Use = "operate"
	Encrypt Use = "encrypt"
	Decrypt Use = "decrypt"
	Pull    Use = "pull"
)

// Grant is a line of the table.
type Grant struct {
	Store Store
	Uses  []Use
}

// Grants returns what a process may do: the table.
func Grants(p Process) []Grant {
	// All know the directory, or its last copy, and the topology; none of it is above GLOBAL.
	known := []Grant{{Directory, []Use{Read}}, {Snapshots, []Use{Read}}, {Topology, []Use{Read}}}
	edge := append(slices.Clone(known), Grant{RouteKey, []Use{Read}})
	relay := []Grant{
		// Cursors lie beside what they count; DynamoDB has no condition on sort keys that could tell them apart.
		{RegionalTable, []Use{Read, Write}},
		{KeysTable, []Use{Read}},
		{TenantsKey, []Use{Decrypt}},
		{PeerKey, []Use{Read}},
		{RemoteEvents, []Use{Send}},
		{LawfulSealed, []Use{Send}},
	}
	follow := []Grant{{RegionalStream, []Use{Follow}}, {StreamList, []Use{Follow}}, {RelayFailures, []Use{Send}}}
	log := []Grant{{Logs, []Use{Write}}}
	switch p {
	case Edge:
		return slices.Concat(edge, log)
	case EdgeTask:
		return edge // The agent writes its logs.
	case Services:
		return services()
	case Relay:
		return slices.Concat(known, relay, follow, log)
	case ApplyEvents:
		return slices.Concat(known, []Grant{
			{ReplicaTable, []Use{Read, Write}}, {SettingsTable, []Use{Read, Write}}, {EventsQueue, []Use{Receive}}, {PeerKey, []Use{Read}},
			// What it refuses for its class it reports to the source: ids alone.
			{RemoteEvents, []Use{Send}},
		}, log)
	case ApplySealed:
		return slices.Concat(known, []Grant{
			{RegionalTable, []Use{Read, Write}}, {ReplicaTable, []Use{Read, Write}}, {SealedQueue, []Use{Receive}}, {PeerKey, []Use{Read}},
			{RemoteEvents, []Use{Send}},
		}, log)
	case Sweep:
		return slices.Concat(relay, []Grant{
			{Directory, []Use{Read, WriteOwn}},
			{ReplicaTable, []Use{Read, Write}},
			{SettingsTable, []Use{Read, Write}},
			{Snapshots, []Use{Read, Write}},
			{Topology, []Use{Read}},
		}, log)
	case Agent:
		return slices.Concat([]Grant{{Image, []Use{Pull}}, {Registry, []Use{Pull}}}, log)
	default:
		return nil
	}
}

// services returns what the services of a region may do.
func services() []Grant {
	return []Grant{
		{Directory, []Use{Read, WriteOwn, Walk}},
		{RegionalTable, []Use{Read, Write, Walk}},
		{KeysTable, []Use{Read, Write, Walk}},
		{ReplicaTable, []Use{Read, Write, Walk}},
		{SettingsTable, []Use{Read, Write, Walk}},
		{Snapshots, []Use{Read}},
		{TenantsKey, []Use{Encrypt, Decrypt}},
		{LawfulTenantsKeys, []Use{Encrypt}},
		{EventsQueue, []Use{Operate}},
		{EventsDead, []Use{Operate}},
		{SealedQueue, []Use{Operate}},
		{SealedDead, []Use{Operate}},
		{RemoteEvents, []Use{Send}},
		{LawfulSealed, []Use{Send}},
		{RouteKey, []Use{Read}},
		{PeerKey, []Use{Read}},
		{Topology, []Use{Read}},
	}
}

// May tells whether a process may do something to a store.
func May(p Process, s Store, u Use) bool {
	return slices.ContainsFunc(Grants(p), func(g Grant) bool { return g.Store == s && slices.Contains(g.Uses, u) })
}

// Who returns the processes that may do something to a store.
func Who(s Store, u Use) []Process {
	return slices.DeleteFunc(Processes(), func(p Process) bool { return !May(p, s, u) })
}
