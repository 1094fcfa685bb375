package keyspace

import (
	"encoding/binary"
	"strings"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	settingsPart    = "/m"
	namespacePrefix = "n/"
	guardPrefix     = "g/"
)

// Settings is the partition of a tenant's multi-primary settings. Its outbox records, cursors and watermarks have the sort keys of a
// lane's: OutboxSort, OutboxAfter and ParseOutbox, Cursors and ParseCursor, Watermarks and ParseWatermark are good for both.
func Settings(tenant ident.TenantID) string { return tenantPrefix + string(tenant) + settingsPart }

// ParseSettings is the inverse of Settings; false for any other partition.
func ParseSettings(partition string) (ident.TenantID, bool) {
	rest, ok := strings.CutPrefix(partition, tenantPrefix)
	tenant, settings := strings.CutSuffix(rest, settingsPart)
	if !ok || !settings || tenant == "" || strings.Contains(tenant, "/") {
		return "", false
	}
	return ident.TenantID(tenant), true
}

// SettingsCounter is the key of the end of the region's own stream.
func SettingsCounter(tenant ident.TenantID) store.Key {
	return store.Key{Partition: Settings(tenant), Sort: counterSort}
}

// Namespace is the key of a namespace.
func Namespace(tenant ident.TenantID, name string) store.Key {
	return store.Key{Partition: Settings(tenant), Sort: namespacePrefix + name}
}

// NamespacesAfter bounds the sort keys of the namespaces after a name; "" means from the first.
func NamespacesAfter(name string) (first, end string) {
	if name != "" {
		name += "\x00"
	}
	return namespacePrefix + name, "n0"
}

// ParseNamespace returns the name of a namespace; false for any other sort key.
func ParseNamespace(sort string) (string, bool) { return strings.CutPrefix(sort, namespacePrefix) }

// SettingsOutbox is the key of an outbox record of the region's own stream.
func SettingsOutbox(tenant ident.TenantID, seq ident.Seq) store.Key {
	return store.Key{Partition: Settings(tenant), Sort: OutboxSort(seq)}
}

// SettingsCursor is the key of the cursor of the region's own stream to a destination.
func SettingsCursor(tenant ident.TenantID, destination ident.RegionID) store.Key {
	return store.Key{Partition: Settings(tenant), Sort: cursorPrefix + feedName(replicationv1.Feed_FEED_SETTINGS) + "/" + string(destination)}
}

// SettingsWatermark is the key of the watermark of another region's stream.
func SettingsWatermark(tenant ident.TenantID, origin ident.RegionID) store.Key {
	return store.Key{Partition: Settings(tenant), Sort: watermarkPrefix + feedName(replicationv1.Feed_FEED_SETTINGS) + "/" + string(origin)}
}

// SettingsGuard is the key of what changes with every change of a watermark, also of what the watermark's version does not show.
func SettingsGuard(tenant ident.TenantID, origin ident.RegionID) store.Key {
	return store.Key{Partition: Settings(tenant), Sort: guardPrefix + string(origin)}
}

// SettingsParked is the key of a position of another region's stream that waits.
func SettingsParked(tenant ident.TenantID, origin ident.RegionID, seq ident.Seq) store.Key {
	first, _ := SettingsParkedAll()
	return store.Key{Partition: Settings(tenant), Sort: string(binary.BigEndian.AppendUint64([]byte(first+string(origin)+"/"), uint64(seq)))}
}

// SettingsParkedAll bounds the sort keys of all positions that wait.
func SettingsParkedAll() (first, end string) {
	stream := parkedPrefix + feedName(replicationv1.Feed_FEED_SETTINGS)
	return stream + "/", stream + "0"
}

// ParseSettingsParked is the inverse of SettingsParked for its sort key.
func ParseSettingsParked(sort string) (ident.RegionID, ident.Seq, bool) {
	first, _ := SettingsParkedAll()
	rest, ok := strings.CutPrefix(sort, first)
	at := len(rest) - 9
	if !ok || at < 1 || rest[at] != '/' {
		return "", 0, false
	}
	return ident.RegionID(rest[:at]), ident.Seq(binary.BigEndian.Uint64([]byte(rest[at+1:]))), true
}
