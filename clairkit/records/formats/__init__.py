"""Read and write the file formats that rows come in, whatever their encoding."""
