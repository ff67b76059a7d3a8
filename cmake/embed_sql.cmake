# Turns storage/sql/*.sql (named statements) into C tables, stmt_gen.[ch], and migrations/ into migrations_gen.c, grants_gen.c.
function(otad_embed_sql target sql_dir migrations_dir)
	file(GLOB sql CONFIGURE_DEPENDS ${sql_dir}/*.sql)
	file(GLOB mig CONFIGURE_DEPENDS ${migrations_dir}/[0-9]*.sql)
	set(gen ${CMAKE_BINARY_DIR}/gen)
	file(MAKE_DIRECTORY ${gen}/storage)
	add_custom_command(
		OUTPUT ${gen}/storage/stmt_gen.h ${gen}/storage/stmt_gen.c ${gen}/storage/migrations_gen.c
			${gen}/storage/grants_gen.c
		# Only when a name or a column has changed: everything of storage includes it.
		COMMAND awk -v kind=h -f ${CMAKE_SOURCE_DIR}/storage/embed_sql.awk ${sql} > ${gen}/storage/stmt_gen.h.new
		COMMAND ${CMAKE_COMMAND} -E copy_if_different ${gen}/storage/stmt_gen.h.new ${gen}/storage/stmt_gen.h
		COMMAND awk -v kind=c -f ${CMAKE_SOURCE_DIR}/storage/embed_sql.awk ${sql} > ${gen}/storage/stmt_gen.c
		COMMAND awk -v kind=m -f ${CMAKE_SOURCE_DIR}/storage/embed_sql.awk ${mig} > ${gen}/storage/migrations_gen.c
		COMMAND awk -v kind=g -f ${CMAKE_SOURCE_DIR}/storage/embed_sql.awk ${migrations_dir}/grants.sql > ${gen}/storage/grants_gen.c
		DEPENDS ${sql} ${mig} ${migrations_dir}/grants.sql ${CMAKE_SOURCE_DIR}/storage/embed_sql.awk
		VERBATIM)
	target_sources(${target} PRIVATE ${gen}/storage/stmt_gen.c ${gen}/storage/migrations_gen.c
		${gen}/storage/grants_gen.c ${gen}/storage/stmt_gen.h)
	target_include_directories(${target} PUBLIC ${gen})
	add_custom_target(${target}_sql DEPENDS ${gen}/storage/stmt_gen.h)
	add_dependencies(${target} ${target}_sql)
	set_source_files_properties(${gen}/storage/stmt_gen.c ${gen}/storage/migrations_gen.c ${gen}/storage/grants_gen.c PROPERTIES COMPILE_OPTIONS "-Wno-overlength-strings")
endfunction()
