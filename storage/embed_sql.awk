# Embeds SQL files in C. kind=h: enum stmt and column numbers; kind=c: the statement table; kind=m: migrations;
# kind=g: grants.
#
# A statement in storage/sql/<noun>.sql:
#   -- name: device_get            C name of the statement: S_device_get
#   -- in: bigint text             declared parameter types, checked against the server at start
#   -- out: id iot_id status       declared result columns: C_device_get_id ..., checked at start
#   -- any further comment
#   select ...;
function quote(s) { gsub(/\\/, "\\\\\\\\", s); gsub(/"/, "\\\"", s); return "\"" s "\\n\"" }
function base(f) { sub(/.*\//, "", f); return f }
function flush_stmt(    i, c, n) {
	if (name == "") return
	if (kind == "h") {
		stmts = stmts "\tS_" name ",\n"
		n = split(outs, c, " ")
		if (n) {
			cols = cols "enum {"
			for (i = 1; i <= n; i++) cols = cols " C_" name "_" c[i] ","
			cols = cols " };\n"
		}
	} else
		printf "\t{ \"%s\", \"%s\", \"%s\", \"%s:%d\",\n%s\t},\n", name, ins, outs, base(file), line, text
	name = ""; ins = ""; outs = ""; text = ""
}
BEGIN {
	print "/* Made by storage/embed_sql.awk; do not edit. */"
	if (kind == "c") print "#include \"storage/stmt.h\"\n\nconst struct stmt_def stmt_table[STMT_COUNT] = {\n\t{ 0, 0, 0, 0, 0 },"
	if (kind == "m") print "#include \"storage/migrate.h\"\n\nconst struct migration migrations[] = {"
	if (kind == "g") print "#include \"storage/role.h\"\n\nconst char grants_sql[] ="
}
kind == "m" && FNR == 1 { if (NR > 1) print "\t},"; printf "\t{ \"%s\",\n", base(FILENAME) }
kind == "m" || kind == "g" { print "\t" quote($0); next }
FNR == 1 { flush_stmt() }
/^-- name: / { flush_stmt(); name = $3; file = FILENAME; line = FNR; next }
/^-- in:/ && name != "" { sub(/^-- in: */, ""); ins = $0; next }
/^-- out:/ && name != "" { sub(/^-- out: */, ""); outs = $0; next }
/^--/ || name == "" { next }
kind == "c" { text = text "\t" quote($0) "\n" }
END {
	if (kind == "m") { print "\t},\n\t{ 0, 0 },\n};"; exit }
	if (kind == "g") { print "\t;"; exit }
	flush_stmt()
	if (kind == "h") {
		print "#ifndef STMT_GEN_H\n#define STMT_GEN_H\nenum stmt {\n\tSTMT_NONE,\n" stmts "\tSTMT_COUNT\n};"
		print cols "#endif"
	} else
		print "};"
}
