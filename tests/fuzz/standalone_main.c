/* Runs a fuzz target over files and folders without libFuzzer: the corpus is an ordinary test with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Above the largest record with its headers, so that no seed is cut. */
enum { INPUT_MAX = 1024 * 1024, PATH_ROOM = 4096 };

static size_t files_run;

static int run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    int result = -1;
    if (file && data) {
        const size_t n = fread(data, 1, INPUT_MAX, file);
        /* A block of exactly the input's size, so that a sanitizer sees a read behind its end. */
        uint8_t *exact = malloc(n ? n : 1);
        if (exact && !ferror(file)) {
            memcpy(exact, data, n);
            (void)LLVMFuzzerTestOneInput(exact, n);
            files_run++;
            result = 0;
        }
        free(exact);
    }
    if (file) {
        (void)fclose(file);
    }
    free(data);
    if (result) {
        perror(path);
    }
    return result;
}

static int run_folder(const char *path) {
    DIR *folder = opendir(path);
    int result = folder ? 0 : -1;
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        char name[PATH_ROOM];
        int n = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && n > 0 && n < PATH_ROOM && run_file(name)) {
            result = -1;
        }
    }
    if (folder) {
        (void)closedir(folder);
    } else {
        perror(path);
    }
    return result;
}

/* Fails when a path cannot be read or nothing was run: a corpus that went missing must not look like success. */
int main(int argc, char **argv) {
    int result = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        const int is_folder = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        if (is_folder ? run_folder(argv[i]) : run_file(argv[i])) {
            result = 1;
        }
    }
    printf("%zu inputs\n", files_run);
    return files_run == 0 ? 1 : result;
}
