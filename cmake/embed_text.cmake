# Turns a text file into the C array NAME, a string per line and NULL, in gen/DIR/NAME.h.
function(otad_embed_text target file name)
	get_filename_component(dir ${file} DIRECTORY)
	file(READ ${CMAKE_SOURCE_DIR}/${file} text)
	string(REPLACE "\\" "\\\\" text "${text}")
	string(REPLACE "\"" "\\\"" text "${text}")
	string(REPLACE "\n" "\\n\",\n\t\"" text "${text}")
	file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/gen/${dir}/${name}.h
		CONTENT "/* Made from ${file}; do not edit. */\nstatic const char *const ${name}[] = {\n\t\"@text@\", 0\n};\n" @ONLY)
	set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
	target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/gen)
endfunction()
